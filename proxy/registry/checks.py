"""Looks at one file of the tree and says what is wrong with it, if anything. All of it blocks."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, ManifestInvalid
from proxy.oci.manifest import MAX_MANIFEST_BYTES, media_type_of
from proxy.registry import durable
from proxy.registry.hashing import hash_file, open_content
from proxy.registry.integrity import Stamp
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.progress import Problem
from proxy.registry.tree import MAX_LINK_BYTES
from proxy.registry.walk import ContentFile, LinkFile, Role, Stray


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking at one file showed; without a problem it is good, or gone by now.

    `stamp` is the state of a content that was hashed.
    """

    file: ContentFile | LinkFile | Stray
    problem: Problem | None = None
    detail: str = ""
    stamp: Stamp | None = None
    is_evicted: bool = False


def look_at_content(file: ContentFile | Stray, on_step: Callable[[int], None]) -> Looked:
    """Hash a content; *on_step* as in `hash_file`."""
    if isinstance(file, Stray):
        return Looked(file, Problem.STRAY)
    if not file.is_regular:
        return Looked(file, Problem.UNREADABLE, "it is no file")
    try:
        descriptor = open_content(file.path)
    except FileNotFoundError:
        return Looked(file)
    except OSError as exc:
        return Looked(file, Problem.UNREADABLE, str(exc))
    try:
        found, stamp = hash_file(descriptor, file.digest.algorithm, on_step)
    except OSError as exc:
        return Looked(file, Problem.UNREADABLE, str(exc))
    finally:
        os.close(descriptor)
    if found != file.digest.hex:
        return Looked(file, Problem.WRONG_BYTES, f"its bytes have {found}", stamp)
    return Looked(file, stamp=stamp)


def look_at_link(layout: Layout, file: LinkFile | Stray) -> Looked:
    """Read a link and look at what it names."""
    if isinstance(file, Stray):
        return Looked(file, Problem.STRAY)
    try:
        named = digest_in(file.path)
    except FileNotFoundError:
        return Looked(file)
    except DigestInvalid:
        return Looked(file, Problem.BAD_LINK, "it names no digest")
    except OSError as exc:
        return Looked(file, Problem.BAD_LINK, str(exc))
    if file.digest not in (None, named):
        return Looked(file, Problem.BAD_LINK, f"it names {named}")
    return _look_behind(layout, file, named)


def digest_in(path: str) -> Digest:
    """Give what a link names. Raises: OSError. DigestInvalid: no digest."""
    descriptor = open_content(path)
    try:
        return Digest.parse(os.read(descriptor, MAX_LINK_BYTES).decode("ascii", "replace").strip())
    finally:
        os.close(descriptor)


def _look_behind(layout: Layout, file: LinkFile, named: Digest) -> Looked:
    match file.role:
        case Role.TAG if not layout.link(file.repository, LinkKind.MANIFEST, named).exists():
            return Looked(file, Problem.DANGLING_TAG, f"{named} is not linked")
        case Role.TAG | Role.HISTORY:
            return Looked(file)
        case _ if not layout.data(named).exists():
            return Looked(file, is_evicted=True)
        case Role.MANIFEST if why := _why_no_manifest(layout, named):
            return Looked(file, Problem.BAD_MANIFEST, why)
    return Looked(file)


def _why_no_manifest(layout: Layout, digest: Digest) -> str:
    """Say why right bytes are no manifest; of wrong ones is told when contents are looked at."""
    try:
        data = durable.read_small(layout.data(digest), MAX_MANIFEST_BYTES + 1)
    except OSError:
        return ""
    if data is None:
        return ""
    if len(data) > MAX_MANIFEST_BYTES:
        return "it is too large"
    try:
        media_type_of(data)
    except ManifestInvalid as exc:
        return exc.message if digest.matches(data) else ""
    return ""
