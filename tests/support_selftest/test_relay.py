"""The relay passes on what it gets, records it, and can be cut."""

import pytest

from tests.support.hostile import BLOBS, UPLOADS, Cut, Hold, NoLength, RefuseEarly
from tests.support.kinds import KINDS
from tests.support.layers import random_blob
from tests.support.pushing import assert_pullable, push, push_blob
from tests.support.raw_http import Ending, exchange, raw_connection, request_bytes
from tests.support.recording_relay import recording_relay
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until


def test_pushes_and_pulls_go_through_unchanged(relay):
    client = RegistryClient(relay.url)
    content = KINDS[1].build("seed")
    push(client, "team/app", content, "v1")
    assert_pullable(client, "team/app", content, "v1")
    assert relay.count("PUT", "/manifests/v1") == 1


def test_requests_and_bytes_are_counted(relay):
    client = RegistryClient(relay.url)
    content = random_blob(1_500_000)
    push_blob(client, "team/app", content)
    relay.forget()
    client.get(f"/v2/team/app/blobs/{content.digest}", {"X-Test": "yes"})
    (read,) = relay.requests("GET", "/blobs/")
    assert (read.status, read.response_bytes, read.is_complete) == (200, 1_500_000, True)
    assert read.fields.get("X-Test") == "yes"
    assert relay.response_bytes("/blobs/") == 1_500_000


def test_a_cut_relay_refuses_connections_until_it_is_restored(relay):
    client = RegistryClient(relay.url)
    with raw_connection(relay.address) as idle:
        wait_until(lambda: relay.listener.open_connections)
        relay.cut()
        assert idle.wait_for_end() is Ending.RESET
    with pytest.raises(ConnectionRefusedError):
        client.get("/v2/")
    relay.restore()
    assert client.get("/v2/").status == 200


def test_a_connection_is_kept_for_many_requests(relay):
    with raw_connection(relay.address) as connection:
        for _ in range(3):
            connection.send(request_bytes("GET", "/v2/", relay.address))
            assert connection.read_reply().status == 200
    assert relay.listener.accepted == 1


def test_a_cut_answer_is_cut_for_the_client_too(upstream, opened):
    content = upstream.contents.add_blob("app", random_blob(100_000))
    fault = upstream.inject(Cut(60_000), path=BLOBS)
    relay = opened(recording_relay(upstream.address))
    reply = get(relay, f"/v2/app/blobs/{content.digest}")
    assert fault.fired == 1
    assert reply.body == content.data[:60_000]
    assert not reply.is_complete
    assert not relay.exchanges[0].is_complete


def test_a_body_of_chunks_stays_one(upstream, opened):
    content = upstream.contents.add_blob("app", random_blob(100_000))
    upstream.inject(NoLength(), path=BLOBS)
    relay = opened(recording_relay(upstream.address))
    reply = get(relay, f"/v2/app/blobs/{content.digest}")
    assert reply.header("Transfer-Encoding") == "chunked"
    assert reply.body == content.data
    assert reply.is_complete


def test_an_early_refusal_arrives_while_the_body_is_on_its_way(upstream, opened):
    fault = upstream.inject(RefuseEarly(after_bytes=10), path=UPLOADS)
    relay = opened(recording_relay(upstream.address))
    data = request_bytes(
        "POST", "/v2/app/blobs/uploads/", relay.address, ("Content-Length", "50000000")
    )
    reply = exchange(relay.address, data + bytes(100_000), method="POST")
    assert (reply.status, fault.fired) == (403, 1)


def test_a_client_that_leaves_is_gone_upstream_too(upstream, opened):
    fault = upstream.inject(Hold())
    relay = opened(recording_relay(upstream.address))
    with raw_connection(relay.address) as connection:
        connection.send(request_bytes("GET", "/v2/", relay.address))
        fault.wait_fired()
    wait_until(lambda: upstream.listener.open_connections == 0)


def get(relay, target):
    return exchange(relay.address, request_bytes("GET", target, relay.address))
