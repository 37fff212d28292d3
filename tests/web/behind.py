"""A replica behind front ends at 127.0.0.1 and ::1, and what the tests of that ask of it."""

from tests.support.raw_http import Ending, RawReply, raw_connection, request_bytes
from tests.web.corpus import HOST
from tests.web.serving import Serving

PING = request_bytes("GET", "/v2/", HOST)
ENDED = (Ending.CLOSED, Ending.RESET)
BEHIND = {"proxy_protocol": True, "registry": ["127.0.0.1:0", "[::1]:0"]}
ACCESS = {"trusted_proxies": ["127.0.0.1/32", "::1/128"]}


def ask(served: Serving, header: bytes, request: bytes = PING) -> RawReply:
    """Send a header and a request at once; give the answer."""
    with raw_connection(served.address) as connection:
        connection.send(header + request)
        return connection.read_reply()


def refused(served: Serving, reason: str) -> float:
    return served.metrics().value("proxima_proxy_headers_refused_total", reason=reason)
