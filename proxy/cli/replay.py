"""`proxima replay`: events of the hub's log once more, for replicas that are to do them again."""

import argparse
import json
import sys

from proxy.cli.hub_access import with_hub
from proxy.net.hub_client import HubClient


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """Put events at the end of the log once more; say how many that were."""
    if arguments.after is None and arguments.repository is None:
        print("proxima: say which events: --after NUMBER, --repository NAME", file=sys.stderr)
        return 2

    def work(client: HubClient) -> int:
        wanted = {"after": arguments.after or 0}
        if arguments.repository is not None:
            wanted["repository"] = arguments.repository
        replayed = client.ask("POST", "/v1/replay", wanted)
        if arguments.json:
            print(json.dumps(replayed))
        else:
            more = "" if replayed["is_whole"] else ", the oldest; there are more"
            print(f"{replayed['replayed']} events{more}")
        return 0

    return with_hub(arguments, work)
