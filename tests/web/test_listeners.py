"""Where a replica listens: several addresses of either family, and what is heard nowhere else."""

import contextlib
import socket

import pytest

from proxy.serving.sockets import open_socket
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.raw_http import exchange, request_bytes
from tests.support.registry_client import RegistryClient
from tests.web.conftest import Place
from tests.web.serving import LOOPS, serving

BOTH = {"registry": ["127.0.0.1:0", "[::1]:0"]}


@pytest.mark.parametrize("loop", LOOPS)
def test_both_families_are_served(place: Place, loop: str):
    """IPv4 and IPv6 listeners serve the same; each is addressed by its own literal."""
    with serving(place.upstream, loop=loop, listen=BOTH) as served:
        four, six = served.addresses
        assert four.startswith("127.0.0.1:")
        assert six.startswith("[::1]:")
        for address in (four, six):
            reply = RegistryClient(f"http://{address}").get(place.manifest_path)
            assert (reply.status, reply.body) == (200, place.image.data)
        clients = {event["client"] for event in served.events("pull.served")}
    assert clients == {"127.0.0.1", "::1"}


def test_a_port_may_be_shared_by_both_families():
    """One port for IPv4 and IPv6: the IPv6 socket takes no IPv4, so both can be had."""
    with claimed_port() as port, contextlib.ExitStack() as stack:
        for host in ("0.0.0.0", "::"):
            opened = stack.enter_context(open_socket((host, port)))
            opened.listen()
        for host in (LOOPBACK, "::1"):
            socket.create_connection((host, port), timeout=2).close()


def test_an_address_in_use_is_named(place: Place):
    """A port that is taken is told with its address."""
    with pytest.raises(
        OSError, match=r"can't listen on 127\.0\.0\.1 port \d+: .*in use"
    ) as failure:
        open_socket(place.served.replica.registry_addresses[0])
    assert failure.value.errno


@pytest.mark.parametrize(
    "path", ["/metrics", "/healthz", "/readyz", "/explain", "/debug", "/admin"]
)
def test_operators_pages_are_not_public(place: Place, path: str):
    """C30, T21: health, metrics and verbs aren't on the public listener, by whatever Host."""
    for host in (LOOPBACK, "localhost", place.served.ops):
        reply = exchange(place.served.address, request_bytes("GET", path, host))
        assert reply.status == 404
        assert b"proxima_" not in reply.body


@pytest.mark.parametrize("path", ["/v2/", "/v2/team/app/manifests/v1", "/explain", "/v2/token"])
def test_the_registry_is_not_on_the_ops_listener(place: Place, path: str):
    """T21: the ops listener reads health and metrics, and nothing else."""
    assert RegistryClient(f"http://{place.served.ops}").get(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_ops_listener_only_reads(place: Place, method: str, path: str):
    """Settled 27: verbs that change something aren't there."""
    assert RegistryClient(f"http://{place.served.ops}").request(method, path).status == 405


def test_ready_says_what_is_known_of_the_primary(place: Place):
    """`/readyz` doesn't depend on the primary, and shows the state of its addresses."""
    ops = RegistryClient(f"http://{place.served.ops}")
    assert ops.get("/healthz").expect(200).json() == {"status": "ok"}
    ready = ops.get("/readyz").expect(200).json()
    assert ready["status"] == "ready"
    assert ready["primary"] == {place.upstream.address: "closed"}
