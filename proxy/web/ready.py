"""Answers from memory, as most pulls of manifests are: written as they stand.

aiohttp makes and checks a dictionary of headers for every answer, which is a third of the time of a
hit. Here the head of a content is made once; an answer adds its date and what it has of its own.
"""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web

from proxy.oci.descriptor import Descriptor
from proxy.web.respond import content_headers

REMEMBERED_HEADS = 4096


class ReadyAnswer(web.StreamResponse):
    """200 with all of a content, over a connection that stays; `headers` adds to its head."""

    def __init__(self, head: bytes, body: bytes) -> None:
        super().__init__()
        self._head = head
        self._content = body

    @property
    def keep_alive(self) -> bool:
        """It stays: the head doesn't say that it would close."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write all of it at once."""
        own = "".join([f"{name}: {text}\r\n" for name, text in self.headers.items()])
        own += _date_line(int(time.time()))
        await request.writer.write(b"".join((self._head, own.encode("ascii"), self._content)))

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written."""


def can_be_ready(request: web.BaseRequest) -> bool:
    """Say whether a request is of the plain kind: all of it is wanted, and the connection stays."""
    headers = request.headers
    is_plain = "Range" not in headers and "If-None-Match" not in headers
    return is_plain and request.keep_alive and request.version == HttpVersion11


@lru_cache(REMEMBERED_HEADS)
def ready_head(descriptor: Descriptor, *, is_blob: bool) -> bytes:
    """Give the head of a content's answer, without its end."""
    headers = content_headers(descriptor, is_blob=is_blob)
    headers["Content-Length"] = str(descriptor.size)
    lines = "".join([f"{name}: {text}\r\n" for name, text in headers.items()])
    return f"HTTP/1.1 200 OK\r\n{lines}".encode()


@lru_cache(1)
def _date_line(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n\r\n"
