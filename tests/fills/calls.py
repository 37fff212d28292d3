"""What a client's action costs: the exact requests that it causes upstream."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.hostile import HostileUpstream, Seen


@contextmanager
def causes(upstream: HostileUpstream, *expected: str) -> Iterator[None]:
    """Check that the block makes exactly these requests arrive upstream, in this order.

    Each is written as `call` writes it. Renewals of the challenge (`/v2/`) don't count.
    """
    before = len(upstream.seen)
    yield
    found = [call(each) for each in upstream.seen[before:] if each.path != "/v2/"]
    assert found == list(expected), found


def call(seen: Seen) -> str:
    """Give a request as `METHOD target status`, its range behind it if it asks for one."""
    part = seen.fields.get("Range")
    return " ".join(filter(None, (seen.method, seen.target, str(seen.status), part)))


def head(target: str, status: int = 200) -> str:
    return f"HEAD {target} {status}"


def get(target: str, status: int = 200, part: str = "") -> str:
    return f"GET {target} {status} {part}".rstrip()


def blob_path(repository: str, digest: str) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def manifest_path(repository: str, reference: str) -> str:
    return f"/v2/{repository}/manifests/{reference}"
