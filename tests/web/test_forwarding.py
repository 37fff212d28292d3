"""Who a request comes from: nobody but a trusted proxy may say so for somebody else."""

import pytest

from proxy.web.forwarding import client_behind
from tests.support.raw_http import exchange, request_bytes
from tests.web.conftest import Place
from tests.web.corpus import HOST
from tests.web.forwarded import CLIENT, STRANGER, TABLE, TRUSTED
from tests.web.serving import LOOPS, serving


def _is_trusted(address) -> bool:
    return any(address in network for network in TRUSTED)


@pytest.mark.parametrize(("peer", "lines", "client"), TABLE)
def test_the_list_is_walked_from_the_right(peer: str, lines: list[str], client: str):
    """C28, T10: the last address that no trusted proxy has is the client's; junk counts nothing."""
    assert client_behind(peer, lines, _is_trusted) == client


@pytest.mark.parametrize(("networks", "logged"), [([], HOST), (["127.0.0.0/8"], CLIENT)])
def test_the_log_names_the_client(place: Place, networks: list[str], logged: str):
    """C28, T10: the log has the client behind a trusted proxy, and the peer otherwise."""
    forwarded = (("X-Forwarded-For", f"{STRANGER}, {CLIENT}"), ("X_Forwarded_For", STRANGER))
    with serving(place.upstream, access={"trusted_proxies": networks}) as served:
        assert exchange(served.address, request_bytes("GET", "/v2/", HOST, *forwarded)).status
        assert served.wait_event("request.answered")["client"] == logged


@pytest.mark.parametrize("loop", LOOPS)
def test_a_malformed_request_through_a_trusted_proxy_gets_400(place: Place, loop: str):
    """C10: what can't be parsed has no forwarding headers; it is refused and logged as ever."""
    networks = {"trusted_proxies": ["127.0.0.0/8"]}
    with serving(place.upstream, loop=loop, access=networks) as served:
        reply = exchange(served.address, b"NO HTTP\r\n\r\n")
        assert (reply.status, reply.is_complete) == (400, True)
        line = served.wait_event("request.answered", outcome="invalid")
        assert (line["client"], line["level"]) == (HOST, "info")
