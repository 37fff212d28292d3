"""`export`: every complete image is written as a tree of its own, which a stock registry can serve.

Complete is a tag whose manifest and all blobs are here, of an index those of one platform at least;
children that aren't complete are left out. Bytes are hard links where the file system allows it,
else copies: files of a store never change, they are only replaced. The store is only read, so this
runs beside a replica; what is evicted meanwhile makes an image incomplete.
"""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import ManifestInvalid, RegistryError
from proxy.oci.manifest import INDEX_TYPES, MAX_MANIFEST_BYTES, children_of, media_type_of
from proxy.oci.platform import UNKNOWN, manifests_of
from proxy.oci.reference import Repository, Tag
from proxy.registry import durable, walk
from proxy.registry.checks import digest_in
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.progress import Deed, Done, Event, Progress, Result
from proxy.serving.small_file import sync_folder

MAX_DEPTH = 4


class Incomplete(Exception):
    """Something of an image isn't here."""


@dataclass(slots=True)
class Image:
    """What an image is made of, all of it here."""

    manifests: dict[Digest, None] = field(default_factory=dict)
    blobs: dict[Digest, None] = field(default_factory=dict)


class Exporter:
    """Writes from one layout to another. Blocks."""

    def __init__(self, source: Layout, target: Layout) -> None:
        self._source = source
        self._target = target
        self._counts: Counter[str] = Counter()

    def run(self) -> Iterator[Event]:
        """Give what is exported and what can't be.

        Raises: OSError: something can't be written there, or read here.
        """
        for repository in walk.repositories(self._source):
            for entry in walk.entries_of(os.fspath(self._source.tags(repository))):
                try:
                    tag = Tag.parse(entry.name)
                except RegistryError:
                    continue
                yield self._export(repository, tag)
                yield Progress(self._counts["images"], 0, "images", "images")
        names = ("exported", "incomplete", "contents", "linked_bytes", "copied_bytes")
        yield Result(is_good=True, numbers={name: self._counts[name] for name in names})

    def _export(self, repository: Repository, tag: Tag) -> Done:
        self._counts["images"] += 1
        name = f"{repository}:{tag}"
        try:
            digest = digest_in(os.fspath(self._source.tag_current(repository, tag)))
            image = Image()
            self._add_manifest(repository, digest, image, 0)
            size = self._write(repository, tag, digest, image)
        except (Incomplete, FileNotFoundError, RegistryError) as exc:
            self._counts["incomplete"] += 1
            return Done(Deed.INCOMPLETE, name, detail=str(exc))
        self._counts["exported"] += 1
        return Done(Deed.EXPORTED, name, size, str(digest))

    # --- what is complete -------------------------------------------------------------------------

    def _add_manifest(
        self, repository: Repository, digest: Digest, image: Image, depth: int
    ) -> None:
        """Add a manifest and what it names.

        Raises: Incomplete: too little of that is here.
        """
        data = self._manifest(repository, digest)
        if media_type_of(data) in INDEX_TYPES:
            self._add_children(repository, data, image, depth)
        else:
            for blob in children_of(data):
                self._require(repository, LinkKind.LAYER, blob.digest)
                image.blobs[blob.digest] = None
        image.manifests[digest] = None

    def _add_children(self, repository: Repository, data: bytes, image: Image, depth: int) -> None:
        children = manifests_of(data)
        is_runnable = not children
        for child in children if depth < MAX_DEPTH else ():
            part = Image()
            try:
                self._add_manifest(repository, child.descriptor.digest, part, depth + 1)
            except (Incomplete, ManifestInvalid):
                continue
            image.manifests |= part.manifests
            image.blobs |= part.blobs
            is_runnable = is_runnable or child.platform != UNKNOWN
        if not is_runnable:
            raise Incomplete("no platform of it is here whole")

    def _manifest(self, repository: Repository, digest: Digest) -> bytes:
        self._require(repository, LinkKind.MANIFEST, digest)
        data = durable.read_small(self._source.data(digest), MAX_MANIFEST_BYTES + 1)
        if data is None or not digest.matches(data):
            raise Incomplete(f"{digest} is damaged")
        return data

    def _require(self, repository: Repository, kind: LinkKind, digest: Digest) -> None:
        link = self._source.link(repository, kind, digest)
        is_linked = durable.read_small(link, len(str(digest)) + 1) == str(digest).encode()
        if not is_linked or not self._source.data(digest).is_file():
            raise Incomplete(f"{digest} is not here")

    # --- writing ----------------------------------------------------------------------------------

    def _write(self, repository: Repository, tag: Tag, digest: Digest, image: Image) -> int:
        """Write an image, bytes before links, the tag last; give its size."""
        size = sum(self._write_content(each) for each in image.manifests | image.blobs)
        for blob in image.blobs:
            self._write_link(self._target.link(repository, LinkKind.LAYER, blob), blob)
        for manifest in image.manifests:
            self._write_link(self._target.link(repository, LinkKind.MANIFEST, manifest), manifest)
        self._write_link(self._target.tag_index(repository, tag, digest), digest)
        self._write_link(self._target.tag_current(repository, tag), digest)
        return size

    def _write_content(self, digest: Digest) -> int:
        source, target = self._source.data(digest), self._target.data(digest)
        size = source.stat().st_size
        durable.make_folders(target.parent)
        if target.exists():
            return size
        self._counts["contents"] += 1
        if durable.link_file(source, target):
            self._counts["linked_bytes"] += size
        else:
            self._copy(source, target)
            self._counts["copied_bytes"] += size
        sync_folder(target.parent)
        return size

    def _copy(self, source: Path, target: Path) -> None:
        temporary = self._target.registry / f"copy-{secrets.token_hex(8)}"
        try:
            shutil.copyfile(source, temporary, follow_symlinks=False)
            descriptor = os.open(temporary, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _write_link(self, path: Path, digest: Digest) -> None:
        content = str(digest).encode()
        if durable.read_small(path, len(content) + 1) != content:
            durable.write_file(path, content, self._target.registry)
