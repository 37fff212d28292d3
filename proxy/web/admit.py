"""Station 1: what reaches the registry's routes, and the one place where errors are answered.

aiohttp's parser lets through what a proxy must not: absolute targets, repeated credentials,
bodies on reads, transfer codings that nobody decodes (reliability notes, section 3). Everything
below raises; here alone that becomes an answer, a log line and a count.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import HttpVersion10, HttpVersion11, web

from proxy.net.link import came_through
from proxy.oci.errors import (
    BadRequest,
    LoopDetected,
    Misdirected,
    OutsideNetworks,
    RegistryError,
    Unauthorized,
)
from proxy.serving.body import answer_and_drain, has_unread_body
from proxy.telemetry.labels import Kind, Outcome
from proxy.telemetry.logs import EventLog, RequestLine
from proxy.telemetry.metrics import Metrics
from proxy.web.exchange import Exchange
from proxy.web.forwarding import Forwarding
from proxy.web.protocol import is_tls
from proxy.web.region_access import RegionAccess
from proxy.web.respond import error_response, outcome_of
from proxy.web.send import BodyAborted

BODILESS = frozenset({"GET", "HEAD", "DELETE"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SINGLE_HEADERS = ("Authorization", "Host", "Range", "If-Range", "Content-Type", "Content-Range")
_VERSIONS = frozenset({HttpVersion10, HttpVersion11})
_PORT = re.compile(r"(?::[0-9]{1,5})?")
_QUERY = re.compile(r"\?[^\s'\"<>)]*")

Answerer = Callable[[Exchange], Awaitable[web.StreamResponse]]
ChallengeWriter = Callable[[Exchange, Unauthorized], str]


REMEMBERED_HOSTS = 1024
MAX_VIA_ENTRIES = 32
MAX_VIA_CHARACTERS = 2048


class HostNames:
    """The hosts on which clients may address us: exact, with the port where one is given."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(name.lower() for name in names)
        self.includes = lru_cache(REMEMBERED_HOSTS)(self._includes)
        """Say whether a Host header names us."""

    def _includes(self, host: str) -> bool:
        host = host.lower()
        if host in self._names:
            return True
        name = host_without_port(host)
        return name in self._names and _PORT.fullmatch(host, len(name)) is not None


def host_without_port(host: str) -> str:
    """Give the host of a Host header, with its brackets where it is IPv6."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Clients:
    """Who clients are, and which of them may come in."""

    forwarding: Forwarding
    access: RegionAccess


@dataclass(frozen=True, slots=True)
class Admission:
    """What decides on admission: our names, our Via entry, who asks."""

    names: HostNames
    via: str
    clients: Clients
    public_scheme: str


class Gate:
    """Admits requests to *answer* and answers whatever it raises."""

    def __init__(
        self,
        admission: Admission,
        answer: Answerer,
        write_challenge: ChallengeWriter,
        log: EventLog,
        metrics: Metrics,
    ) -> None:
        self._admission = admission
        self._answer = answer
        self._write_challenge = write_challenge
        self._log = log
        self._metrics = metrics
        self.in_flight = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        exchange = self._begin(request)
        self.in_flight += 1
        try:
            self._admission.clients.access.check(exchange.client)
            check_framing(request)
            self._check_destination(request)
            response = await self._answer(exchange)
        except RegistryError as exc:
            response = self._answer_error(exchange, exc)
        except BodyAborted:
            exchange.outcome = Outcome.ABORTED
            raise ConnectionResetError from None
        except (asyncio.CancelledError, ConnectionError):
            exchange.outcome = Outcome.ABORTED
            raise
        except Exception as exc:  # noqa: BLE001  # the last resort: logged with its cause, answered
            response = self._answer_error(exchange, _unexpected(exc))
        finally:
            self.in_flight -= 1
            self._finish(exchange)
        response.headers.setdefault("X-Request-Id", exchange.request_id)
        if has_unread_body(request):
            await answer_and_drain(request, response)
        return response

    def refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer what the parser refused before it became a request."""
        exchange = self._begin(request)
        response = self._answer_error(exchange, BadRequest("malformed HTTP request"))
        self._finish(exchange)
        return response

    def _begin(self, request: web.BaseRequest) -> Exchange:
        client = self._admission.clients.forwarding.client(request)
        return Exchange(request, time.perf_counter(), client=client)

    def _scheme(self, request: web.BaseRequest) -> str:
        """Give the scheme that the client used: seen, as configured, or told by a trusted proxy.

        It is never http behind TLS, whatever settings or a proxy say.
        """
        if is_tls(request):
            return "https"
        return self._admission.public_scheme or self._admission.clients.forwarding.scheme(request)

    def _check_destination(self, request: web.BaseRequest) -> None:
        if not self._admission.names.includes(request.headers.get("Host", "")):
            raise Misdirected
        if "Via" in request.headers:
            self._check_way(request.headers.getall("Via"))

    def _check_way(self, lines: Sequence[str]) -> None:
        """Refuse what came through here before; what is asked upstream names the rest of the way.

        Raises: LoopDetected.
        """
        entries = [entry.strip() for entry in ",".join(lines).split(",")]
        if self._admission.via in entries or len(entries) > MAX_VIA_ENTRIES:
            raise LoopDetected
        told = ", ".join(each for each in entries if each.isascii() and each.isprintable())
        came_through.set(told[:MAX_VIA_CHARACTERS])

    def _answer_error(self, exchange: Exchange, error: RegistryError) -> web.StreamResponse:
        exchange.outcome = outcome_of(error)
        exchange.error = _with_cause(error)
        headers = {"X-Request-Id": exchange.request_id}
        if isinstance(error, Unauthorized):
            exchange.scheme = self._scheme(exchange.request)
            headers["WWW-Authenticate"] = self._write_challenge(exchange, error)
        response = error_response(error, {name: text for name, text in headers.items() if text})
        if error.status in (400, 405, 421) and exchange.subject.kind is Kind.OTHER:
            response.force_close()  # it wasn't understood, nor is what follows it to be trusted
        if isinstance(error, OutsideNetworks):
            exchange.is_told_elsewhere = True  # strangers come at any rate; they are counted
            response.force_close()
        return response

    def _finish(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started_at
        subject = exchange.subject
        self._metrics.request_ended(subject.kind, exchange.outcome, seconds)
        if exchange.stale_seconds is not None:
            self._metrics.stale_answers.inc()
        if exchange.is_told_elsewhere:
            return
        self._log.request(
            RequestLine(
                exchange.event,
                exchange.request_id,
                exchange.client,
                exchange.request.method,
                subject.kind,
                subject.repository,
                subject.reference,
                exchange.outcome,
                exchange.origin or "",
                exchange.sent_bytes,
                seconds,
                exchange.stale_seconds,
                exchange.error,
            )
        )


def check_framing(request: web.BaseRequest) -> None:
    """Refuse what HTTP allows to be read in two ways.

    Raises: BadRequest.
    """
    headers = request.headers
    if request.version not in _VERSIONS:
        raise BadRequest("only HTTP/1.1 and HTTP/1.0 are spoken here")
    if request.method not in METHODS:
        raise BadRequest("this method is not known here")
    for name in SINGLE_HEADERS:
        if name in headers and len(headers.getall(name)) > 1:
            raise BadRequest(f"the {name} header stands twice")
    coding = headers.get("Transfer-Encoding")
    if coding is not None and (coding.lower() != "chunked" or request.version == HttpVersion10):
        raise BadRequest("the only transfer coding understood here is chunked, in HTTP/1.1")
    if request.method in BODILESS and request.body_exists:
        raise BadRequest(f"{request.method} has no body here")
    if headers.get("Expect", "100-continue").lower() != "100-continue":
        raise BadRequest("the only expectation understood here is 100-continue")
    if "Upgrade" in headers:
        raise BadRequest("there is nothing to upgrade to here")


def _with_cause(error: RegistryError) -> str:
    """Give message and cause for the log, without queries: they carry signatures and state."""
    cause = error.__cause__
    if cause is None:
        return error.message
    return _QUERY.sub("?...", f"{error.message}: {type(cause).__name__}: {cause}")


def _unexpected(exc: Exception) -> RegistryError:
    error = RegistryError()
    error.__cause__ = exc
    return error
