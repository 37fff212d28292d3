"""Ids for notifications of senders that give none."""

import hashlib
import json
from dataclasses import replace

from proxy.events.event import Event
from proxy.events.notification import Notification, Source
from proxy.events.wire import to_json


def identified(source: Source, event: Event) -> Notification:
    """Give the notification of *event*; a source without an id gets one made of all that was said.

    The time is part of it: a sender that gives neither id nor time can't be told to repeat itself,
    and acting twice does less harm than taking a second push for the first.
    """
    notification = Notification(source, event)
    if source.id:
        return notification
    said = json.dumps(to_json(notification), sort_keys=True, separators=(",", ":"))
    made = f"made-{hashlib.sha256(said.encode()).hexdigest()}"
    return Notification(replace(source, id=made), event)
