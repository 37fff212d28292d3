"""What the demo tells its reader: where everything listens, and what to try."""

import os
import sys
from pathlib import Path

from loadtest.demo.fleet import NEWS_TAG, PLACES, Fleet
from loadtest.demo.scene import LINK, SHARE, Scene
from loadtest.demo.steps import CROWD, LAYER_SIZES_BYTES
from loadtest.nomad import SharedName
from loadtest.units import show_bytes, show_seconds


def introduction() -> str:
    """Say what is about to happen."""
    rate = show_bytes(int(LINK.rate_bytes_per_second or 0))
    return (
        f"An image of {show_bytes(sum(LAYER_SIZES_BYTES))} in {len(LAYER_SIZES_BYTES)} layers; "
        f"a link of {show_seconds(LINK.round_trip_seconds)} round trip and {rate}/s; "
        "skopeo as the client.\n"
        f"All of it shares this machine's {os.cpu_count()} processors; {CROWD} clients at once need"
        " most of theirs for themselves."
    )


def places(scene: Scene) -> str:
    """Say where everything listens."""
    lines = [
        ("primary", scene.primary.url, "the registry that takes the pushes"),
        ("link", scene.near.link.address, "leads to the primary, with its distance"),
        ("link control", f"http://{scene.near.link.control}", "its counts and its faults"),
        ("replica", scene.near.replica.address, "the region's registry: pull and push here"),
        ("replica ops", f"http://{scene.near.replica.ops}", "/healthz /readyz /metrics"),
        ("replica log", str(scene.near.replica.log), ""),
        ("far link", scene.far.link.address, f"gives one connection 1/{SHARE} of its rate"),
        ("far replica", scene.far.replica.address, "a region behind that link"),
    ]
    return "\n".join(f"  {name:<13} {where:<29} {what}".rstrip() for name, where, what in lines)


def news_introduction(fleet: Fleet) -> str:
    """Say what the second part shows, and where the hub listens."""
    far = "; ".join(
        f"{place.name}, {show_seconds(place.round_trip_seconds)} away" for place in PLACES
    )
    told = (
        "The primary was started again and posts its notifications to the hub."
        if fleet.primary.registry is not None
        else "The primary's settings aren't ours: the demo posts to the hub in its place."
    )
    return (
        f"A hub beside the primary, and three more regions: {far}.\n{told}"
        " What is pushed arrives before anybody pulls it."
    )


def nearest_introduction(name: SharedName) -> str:
    """Say what the third part shows."""
    host, port = name.nameserver
    return (
        f"One name for all regions, {name.domain}: PowerDNS on {host}:{port} answers it, and asks"
        " `proxima dns serve` beside it.\nEach region has a network of this machine's loopback, and"
        " its clients come from addresses in it."
    )


def suggestions(scene: Scene, fleet: Fleet, name: SharedName) -> str:
    """Say what to try while it keeps running."""
    login = scene.primary.login
    creds = f"{login.username}:{login.password}" if login else ""
    pulls, pushes = (f" --{side}-creds {creds}" if creds else "" for side in ("src", "dest"))
    near = scene.near.replica.address
    repository = scene.primary.repository
    exports = "".join(
        f"  export {name}={value}\n" for name, value in fleet.hub.operator.variables.items()
    )
    regions = "".join(
        f"  {told.name:<13} {told.replica.address:<23} metrics: http://{told.replica.ops}/metrics\n"
        for told in fleet.regions
    )
    return f"""\
Still running until Ctrl-C. Try:
  pull:         skopeo copy --src-tls-verify=false{pulls} \\
                    docker://{near}/{repository}:1.0 dir:$(mktemp -d)
  metrics:      curl -s http://{scene.near.replica.ops}/metrics
  an outage:    curl -X POST http://{scene.near.link.control}/refuse     (then pull again)
  its end:      curl -X POST http://{scene.near.link.control}/restore
  the link:     curl http://{scene.near.link.control}/                (bytes so far)

The hub, {fleet.hub.url} (metrics: http://{fleet.hub.ops}/metrics), and its regions:
{regions}
  export PATH={Path(sys.executable).parent}:$PATH
{exports}\
  push again:   skopeo copy --dest-tls-verify=false{pushes} \\
                    oci:{fleet.folder}/image4:{NEWS_TAG} docker://{scene.primary.place}/{repository}:4.2
  then:         proxima wait {repository}:4.2 --all
  the log:      proxima logs --follow
  the replicas: proxima replicas list

The shared name, {name.host}:
  where it is:  dig @{name.nameserver[0]} -p {name.nameserver[1]} -b 127.2.0.50 +short {name.domain}
  and why:      proxima explain {repository}:4.1 --from 127.2.0.50
  the regions:  proxima regions
  less of them: proxima drain eu-frankfurt"""
