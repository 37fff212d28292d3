"""A store of many links and contents, as years leave it, made fast and straight on the disk."""

import os
from hashlib import sha256
from pathlib import Path

from tests.support.layers import random_blob
from tests.support.store_tree import TREE, blob_path

LINKS_OF_A_REPOSITORY = 1_000
CONTENT_BYTES = 1_000


def old_store(root: Path, links: int, contents: int) -> None:
    """Make a store; its links are of layers whose bytes aren't there."""
    for number in range(links // LINKS_OF_A_REPOSITORY):
        layers = root / TREE / f"repositories/team/app-{number}/_layers/sha256"
        layers.mkdir(parents=True)
        for link in range(LINKS_OF_A_REPOSITORY):
            _put_link(f"{layers}/", sha256(f"{number} {link}".encode()).hexdigest())
    put_contents(root, contents, "old")


def put_contents(root: Path, count: int, seed: str) -> None:
    """Put contents into a tree that nothing links."""
    for number in range(count):
        content = random_blob(CONTENT_BYTES, f"{seed}-{number}")
        path = blob_path(root, content.digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(content.data)


def _put_link(folder: str, name: str) -> None:
    os.mkdir(folder + name)  # noqa: PTH102  # tens of thousands of these
    with open(f"{folder}{name}/link", "w") as file:  # noqa: PTH123
        file.write(f"sha256:{name}")
