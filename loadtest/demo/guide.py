"""What the demo tells its reader: where everything listens, and what to try."""

import os

from loadtest.demo.scene import LINK, SHARE, Scene
from loadtest.demo.steps import CROWD, LAYER_SIZES_BYTES
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


def suggestions(scene: Scene) -> str:
    """Say what to try while it keeps running."""
    login = scene.primary.login
    credentials = f" --src-creds {login.username}:{login.password}" if login else ""
    image = f"{scene.near.replica.address}/{scene.primary.repository}:1.0"
    return f"""\
Still running until Ctrl-C. Try:
  pull:         skopeo copy --src-tls-verify=false{credentials} \\
                    docker://{image} dir:$(mktemp -d)
  metrics:      curl -s http://{scene.near.replica.ops}/metrics
  an outage:    curl -X POST http://{scene.near.link.control}/refuse     (then pull again)
  its end:      curl -X POST http://{scene.near.link.control}/restore
  the link:     curl http://{scene.near.link.control}/                (bytes so far)"""
