"""Answers from memory: the same as any other answer, by whichever way they go out."""

import pytest

from tests.support.http1 import Fields
from tests.support.raw_http import Ending, RawReply, exchange, raw_connection, request_bytes
from tests.web.conftest import Place, blob_path
from tests.web.corpus import HOST

OTHER_WAY = ("If-None-Match", '"sha256:of-something-else"')
"""What leads past the prepared heads, to the same answer."""
OF_ONE_ANSWER = frozenset({"date", "x-request-id"})


@pytest.fixture
def paths(place: Place) -> tuple[str, ...]:
    """Contents that are in memory: a manifest by tag and by digest, a small blob."""
    place.warm(place.config)
    place.client().get(place.manifest_path).expect(200)
    by_digest = place.manifest_path.replace("v1", place.image.digest)
    return place.manifest_path, by_digest, blob_path(place.config)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_prepared_answer_is_what_the_other_way_gives(place, paths, method):
    for path in paths:
        ready = pull(place, method, path)
        other = pull(place, method, path, OTHER_WAY)
        assert (ready.status, ready.body, ready.rest) == (200, other.body, b"")
        assert ready.is_complete
        assert of_content(ready.fields) == of_content(other.fields)
        for reply in (ready, other):
            assert reply.header("Date").endswith(" GMT")
            assert reply.header("X-Request-Id")


def test_requests_behind_each_other_get_their_answers_in_order(place, paths):
    names = [*paths, *reversed(paths)] * 5
    requests = [
        request_bytes("HEAD" if number % 3 else "GET", path, HOST)
        for number, path in enumerate(names)
    ]
    wanted = {path: pull(place, "GET", path) for path in paths}
    with raw_connection(place.served.address) as connection:
        connection.send(b"".join(requests))
        for number, path in enumerate(names):
            reply = connection.read_reply("HEAD" if number % 3 else "GET")
            assert reply.header("ETag") == wanted[path].header("ETag")
            assert reply.body == (b"" if number % 3 else wanted[path].body)


def test_a_client_that_wants_to_close_is_told_so(place, paths):
    for path in paths:
        reply = pull(place, "GET", path, ("Connection", "close"))
        assert (reply.status, reply.header("Connection")) == (200, "close")


def test_an_older_http_gets_an_answer_in_its_version(place, paths):
    for path in paths:
        request = request_bytes("GET", path, HOST).replace(b"HTTP/1.1", b"HTTP/1.0")
        with raw_connection(place.served.address) as connection:
            connection.send(request)
            head = connection.read(len(b"HTTP/1.0 200 OK"))
            assert head == b"HTTP/1.0 200 OK"
            while connection.read(65536):
                pass
            assert connection.wait_for_end() is Ending.CLOSED


def pull(place: Place, method: str, path: str, *fields: tuple[str, str]) -> RawReply:
    request = request_bytes(method, path, HOST, *fields)
    return exchange(place.served.address, request, method=method)


def of_content(fields: Fields) -> dict[str, str]:
    """Give the fields that don't differ from answer to answer."""
    named = {name.lower(): value for name, value in fields.pairs}
    assert len(named) == len(fields.pairs), "a field stands twice"
    return {name: value for name, value in named.items() if name not in OF_ONE_ANSWER}
