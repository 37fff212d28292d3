"""A story that makes a registry send every notification that it knows, and its recorder.

    python -m tests.support.push_story FOLDER

writes one file for each notification of a docker-registry into FOLDER. What names the machine is
replaced; all else is what was sent.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.images import oci_image
from tests.support.layers import Blob, blob
from tests.support.mailbox import Letter, Mailbox, mailbox
from tests.support.pushing import pull, push_blob, put_manifest
from tests.support.registries import docker_registry
from tests.support.registry_client import RegistryClient, Reply
from tests.support.waiting import wait_until

HOST = "registry.example.com"
REPOSITORY = "shop/api"
OTHER = "shop/web"
IMAGE = oci_image("story", layers=[])
CONFIG = IMAGE.blobs[0]
LAYER = blob(b"a layer of the story", "application/vnd.oci.image.layer.v1.tar")
_KEPT_HEADERS = ("Content-Type", "User-Agent")

Step = Callable[[RegistryClient], object]


def _put(tag: str | None) -> Step:
    return lambda client: put_manifest(client, REPOSITORY, IMAGE, tag).expect(201)


def _mount(content: Blob) -> Step:
    query = f"mount={content.digest}&from={REPOSITORY}"
    return lambda client: client.request("POST", f"/v2/{OTHER}/blobs/uploads/?{query}").expect(201)


def _delete(path: str) -> Step:
    return lambda client: client.delete(f"/v2/{REPOSITORY}/{path}").expect(202)


def _get_blob(client: RegistryClient) -> Reply:
    return client.get(f"/v2/{REPOSITORY}/blobs/{CONFIG.digest}")


STEPS: tuple[tuple[Step, tuple[str, ...]], ...] = (
    (lambda client: push_blob(client, REPOSITORY, CONFIG), ("push-blob",)),
    (lambda client: push_blob(client, REPOSITORY, LAYER), ("push-layer",)),
    (_put("1.4.2"), ("push-tag",)),
    (_put(None), ("push-digest",)),
    (_mount(CONFIG), ("mount",)),
    (lambda client: pull(client, REPOSITORY, "1.4.2").expect(200), ("pull-tag",)),
    (lambda client: _get_blob(client).expect(200), ("pull-blob",)),
    (_delete(f"manifests/{IMAGE.digest}"), ("delete-manifest", "delete-its-tag")),
    (_delete(f"blobs/{CONFIG.digest}"), ("delete-blob",)),
)
"""What a client does, and names for the notifications of each step."""


def letters_of_story(folder: Path) -> dict[str, Letter]:
    """Give the notification that a docker-registry sends at each step."""
    found: dict[str, Letter] = {}
    with mailbox() as box, docker_registry(folder, notify=[f"{box.url}/notifications"]) as registry:
        client = RegistryClient(registry.url, host=HOST)
        for step, names in STEPS:
            step(client)
            wait_until(partial(_has, box, len(found) + len(names)), what=", ".join(names))
            found |= zip(names, box.letters[len(found) :], strict=True)
    return found


def _has(box: Mailbox, count: int) -> bool:
    return len(box.letters) >= count


def _recorded(letter: Letter) -> dict[str, Any]:
    body = json.loads(letter.body)
    for event in body["events"]:
        event["source"]["addr"] = "registry-0:5000"
    headers = {name: letter.headers[name] for name in _KEPT_HEADERS}
    return {"headers": headers, "body": body}


def record(folder: Path) -> None:
    """Write the story's notifications into *folder*."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, letter in letters_of_story(Path(scratch) / "registry").items():
            text = json.dumps(_recorded(letter), indent=2)
            (folder / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
