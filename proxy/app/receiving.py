"""The listener for the primary's notifications, from the settings."""

import ssl
from contextlib import AsyncExitStack

from config import Settings, sender_secrets
from proxy.events.authenticity import Authenticity
from proxy.registry.clock import Clock
from proxy.replication.reception import Reception
from proxy.serving.listener import Listener
from proxy.serving.sockets import Address
from proxy.telemetry.logs import EventLog
from proxy.web.notifications import NotificationRoute


async def open_receiver(
    settings: Settings,
    reception: Reception,
    context: ssl.SSLContext | None,
    clock: Clock,
    log: EventLog,
    stack: AsyncExitStack,
) -> list[Address]:
    """Listen until *stack* ends; give where.

    Raises: ConfigError: a secret is missing or could be guessed. OSError.
    """
    receiving = settings.receiving
    secrets = [each.reveal() for each in sender_secrets(receiving)]
    authenticity = Authenticity(secrets, receiving.header, receiving.signature_window)
    route = NotificationRoute(reception, authenticity, receiving.max_body, clock, log)
    listener = Listener(route.application(), context)
    stack.push_async_callback(listener.end)
    await listener.open((each.host, each.port) for each in settings.listen.notifications)
    return listener.addresses
