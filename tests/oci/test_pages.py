"""Pages of a registry that names them in its own words, seen through a replica."""

import asyncio
import json
from typing import Any

from tests.support.http1 import read_request
from tests.support.listener import listening
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica

LIST = "/v2/app/tags/list"
SECOND = f"{LIST}?n=2&next_page=gAAA%3D"


class Sealed:
    """Lists tags in pages as quay.io does: the next one is named by a sealed word."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            tags, link = [*"abc"], ""
            if request.path == LIST:
                self.asked.append(request.target)
                is_second = "next_page=gAAA%3D" in request.query.split("&")
                if is_second:
                    tags = ["c"]
                elif "n=2" in request.query.split("&"):
                    tags, link = [*"ab"], f'Link: <{SECOND}>; rel="next"\r\n'
            body = json.dumps({"name": "app", "tags": tags}).encode()
            length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 200 OK\r\n{link}{length}\r\n".encode() + body)


def all_pages(client: RegistryClient, path: str) -> list[Any]:
    """Follow the links as clients do, a few at most."""
    tags: list[Any] = []
    for _ in range(5):
        reply = client.get(path).expect(200)
        tags += reply.json()["tags"]
        link = reply.header("Link")
        if link is None:
            return tags
        path = link.partition("<")[2].partition(">")[0]
    raise AssertionError("the pages have no end")


def test_pages_in_the_primarys_own_words_have_an_end() -> None:
    """A client that follows `next_page` through a replica gets every page once, as at the primary;
    in an outage such a page is 503, never the first one again.
    """
    registry = Sealed()
    with listening(registry) as listener, replica(listener.url, tags={"ttl": "1s"}) as here:
        client = RegistryClient(here.url)
        assert client.get(LIST).expect(200).json()["tags"] == [*"abc"]
        assert all_pages(client, f"{LIST}?n=2") == [*"abc"]
        assert registry.asked == [LIST, f"{LIST}?n=2", SECOND]
        listener.cut()
        assert all_pages(client, f"{LIST}?n=2") == [*"abc"]
        client.get(SECOND).expect(503)
