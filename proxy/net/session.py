"""The one HTTP client session: the only door to aiohttp's client.

What aiohttp does by default and a registry proxy must not: follow redirects, inflate bodies,
read proxies from the environment, keep cookies, limit the total time, accept a second
Content-Type. Errors of the socket are mapped here, once, to `Unavailable`.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from proxy.net.origins import AddressPolicy, Origin, bracketed
from proxy.net.request import NotAsked, Request
from proxy.net.upload import BodyNotAsked, Patience, UploadBody
from proxy.net.weather import Place
from proxy.oci.errors import BadGateway, SizeInvalid, Unavailable, UntrustedOrigin

READ_BUFFER_BYTES = 64 << 10
KEEP_ALIVE_SECONDS = 60.0
POOL_WAIT_SECONDS = 10.0
DRAIN_BYTES = 64 << 10
DRAIN_SECONDS = 1.0
MAX_CONTENT_BYTES = 2**63 - 1
_TARGET = re.compile(r"/[!\"$-~]*")  # no space, no fragment, nothing outside ASCII
_SINGLETONS = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Content-Encoding",
    "Docker-Content-Digest",
    "Location",
    "ETag",
)


class NotConnected(Unavailable):
    """No connection came about: nothing was sent, so any request may go another way."""


class LinkBroken(Unavailable):
    """A transfer ended early, stalled or became too slow: what came so far is good."""

    default_message = "the connection to the primary broke"


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, rates in bytes a second."""

    connect_timeout: float = 2.0
    read_timeout: float = 30.0
    minimum_rate: int = 1024
    rate_window: float = 60.0
    max_connections: int = 256


class Answer:
    """A response whose status and headers are here and whose body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, limits: Limits, place: Place) -> None:
        self._response = response
        self._limits = limits
        self.place = place
        """Where it came from."""
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    def header(self, name: str) -> str:
        """Give a header's value, empty if it isn't there or isn't plain text."""
        value = self.headers.get(name, "")
        return value if value.isascii() and value.isprintable() else ""

    @property
    def content_length(self) -> int | None:
        return self._response.content_length

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Give the body as it arrives.

        Raises: LinkBroken: it ended early, no byte came for `read_timeout`, or the average fell
        below `minimum_rate`. Only time spent waiting for the network counts.
        """
        pace = _Pace(self._limits)
        clock = asyncio.get_running_loop().time
        content = self._response.content
        while True:
            asked_at = clock()
            try:
                # aiohttp's own timeout ends with the connection's parser, which a broken chunk ends
                async with asyncio.timeout(self._limits.read_timeout):
                    chunk = await content.readany()
            except (aiohttp.ClientError, TimeoutError, OSError) as exc:
                if rest := _unread(content):
                    yield rest
                raise LinkBroken from exc
            if not chunk:
                return
            pace.note(len(chunk), clock() - asked_at)
            yield chunk

    async def read(self, limit_bytes: int) -> bytes:
        """Give the whole body.

        Raises: SizeInvalid: it is longer than *limit_bytes*. LinkBroken: as `chunks`.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit_bytes:
                        raise SizeInvalid("the primary's answer is larger than allowed")
                    parts.append(chunk)
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    async def drop(self) -> None:
        """Let go of a body nobody needs; the connection is kept if it is short and here soon."""
        length = self.content_length
        if length is None or length > DRAIN_BYTES:
            self.close()
            return
        with suppress(SizeInvalid, Unavailable, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.read(DRAIN_BYTES)

    def close(self) -> None:
        """End the connection unless the body was read to its end."""
        self._response.close()


def _unread(content: aiohttp.StreamReader) -> bytes:
    """Give what arrived before a break: aiohttp would drop it, and it would be fetched again."""
    return content._read_nowait(-1)  # noqa: SLF001  # what is public raises once it broke


class _Pace:
    """The throughput floor: bytes and waiting time within a window."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._waited = 0.0

    def note(self, size: int, waited: float) -> None:
        self._bytes += size
        self._waited += waited
        if self._waited < self._limits.rate_window:
            return
        if self._bytes < self._limits.minimum_rate * self._waited:
            raise LinkBroken("the primary sends too slowly")
        self._bytes, self._waited = 0, 0.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to be sent: `target` is path and query, byte-exact."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: UploadBody | bytes | None = None
    is_continue_expected: bool = False


class Session:
    """Requests to origins and addresses that were checked before.

    *policy* sees every address that a connection would go to, literal or resolved.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        limits: Limits,
        *,
        resolver: AbstractResolver | None = None,
        ca_file: str | None = None,
        user_agent: str = "proxima",
    ) -> None:
        self._limits = limits
        self._policy = policy
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.set_alpn_protocols(["http/1.1"])
        connector = aiohttp.TCPConnector(
            limit=limits.max_connections,
            resolver=resolver,
            ssl=self._tls,
            socket_factory=self._open_socket,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=POOL_WAIT_SECONDS,
            sock_connect=limits.connect_timeout,
            sock_read=limits.read_timeout,
        )
        self._client = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type",),
            request_class=Request,
            read_bufsize=READ_BUFFER_BYTES,
        )

    async def send(
        self, origin: Origin, request: Outgoing, *, address: tuple[str, int] | None = None
    ) -> Answer:
        """Send a request; give the answer once its headers are here.

        *address* is where to connect instead of what DNS says; Host and TLS name stay *origin*'s.

        Raises: NotConnected: no connection. BodyNotAsked. Unavailable: no answer in time.
        UntrustedOrigin: the address may not be spoken to. BadGateway: target or answer break HTTP.
        Whatever the source of an `UploadBody` raises.
        """
        if _TARGET.fullmatch(request.target) is None:
            raise BadGateway("the primary points to something that is no URL")
        host, port = address or (origin.host, origin.port)
        url = URL(f"{origin.scheme}://{bracketed(host)}:{port}{request.target}", encoded=True)
        read_timeout = self._limits.read_timeout
        patience = Patience(POOL_WAIT_SECONDS + read_timeout, read_timeout)
        body = request.body
        if isinstance(body, UploadBody):
            body.keep_to(patience)
        try:
            async with patience:
                response = await self._client.request(
                    request.method,
                    url,
                    headers={"Host": origin.authority, **request.headers},
                    data=body,
                    allow_redirects=False,
                    expect100=request.is_continue_expected,
                    server_hostname=origin.host if address and origin.scheme == "https" else None,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            if isinstance(body, UploadBody) and body.failure is not None:
                raise body.failure from None
            raise _mapped(exc) from exc
        _check_headers(response)
        return Answer(response, self._limits, (host, port))

    def _open_socket(self, info: "aiohttp.connector.AddrInfoType") -> socket.socket:
        family, kind, protocol, _, sockaddr = info
        if not self._policy.allows(str(sockaddr[0])):
            raise OSError(errno.EACCES, f"the address {sockaddr[0]} may not be connected to")
        opened = socket.socket(family=family, type=kind, proto=protocol)
        opened.setblocking(False)  # noqa: FBT003  # the socket's own signature
        return opened

    async def close(self) -> None:
        await self._client.close()


def _mapped(exc: Exception) -> Unavailable | BadGateway:
    if isinstance(exc, OSError) and exc.errno == errno.EACCES:
        return UntrustedOrigin("the primary's name leads to an address that may not be used")
    if isinstance(exc, aiohttp.ClientResponseError):
        return BadGateway("the primary's answer is not valid HTTP")
    if isinstance(exc, NotAsked):
        return BodyNotAsked()
    if isinstance(exc, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return NotConnected()
    return Unavailable()


def _check_headers(response: aiohttp.ClientResponse) -> None:
    twice = [name for name in _SINGLETONS if len(response.headers.getall(name, ())) > 1]
    if twice or (response.content_length or 0) > MAX_CONTENT_BYTES:
        response.close()
        reason = f"has two {twice[0]} headers" if twice else "is longer than anything"
        raise BadGateway(f"the primary's answer {reason}")
