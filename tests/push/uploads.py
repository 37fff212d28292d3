"""Uploads as clients make them, each step with the requests that it causes upstream."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.hostile import HostileUpstream
from tests.support.layers import Blob
from tests.support.pushing import location, with_query
from tests.support.registry_client import RegistryClient, Reply

START = "/v2/app/blobs/uploads/"
OCTETS = {"Content-Type": "application/octet-stream"}
_SESSION = re.compile(r"/blobs/uploads/[0-9a-f-]{36}")


@contextmanager
def relays(upstream: HostileUpstream, *expected: str) -> Iterator[None]:
    """Check that the block makes exactly these requests arrive, in this order: method, path and
    status, where a session is called `{session}`.
    """
    before = len(upstream.seen)
    yield
    found = [
        f"{each.method} {_SESSION.sub('/blobs/uploads/{session}', each.path)} {each.status}"
        for each in upstream.seen[before:]
        if each.path != "/v2/"
    ]
    assert found == list(expected), found


def begin(client: RegistryClient, repository: str = "app") -> str:
    """Begin an upload session and give where it goes on."""
    return location(client.request("POST", f"/v2/{repository}/blobs/uploads/").expect(202))


def patch(client: RegistryClient, target: str, data: bytes, start: int | None = None) -> Reply:
    """Send a chunk, with its Content-Range if *start* is given."""
    span = {} if start is None else {"Content-Range": f"{start}-{start + len(data) - 1}"}
    return client.request("PATCH", target, {**OCTETS, **span}, data)


def finish(client: RegistryClient, target: str, content: Blob, data: bytes = b"") -> Reply:
    """End an upload session with its digest, and with the last bytes if there are any."""
    return client.request("PUT", with_query(target, f"digest={content.digest}"), OCTETS, data)


def chunked(data: bytes, size: int = 50_000) -> tuple[Mapping[str, str], bytes]:
    """Give headers and body of a stream whose length isn't told."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return {**OCTETS, "Transfer-Encoding": "chunked"}, body + b"0\r\n\r\n"
