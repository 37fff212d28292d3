"""The client of the hub: JSON within bounds and deadlines, and the stream of events.

The hub has a session of its own, so that nothing of the private link (addresses, breakers, limits)
applies to it; HTTP/1.1, no redirects, no proxies from the environment, as for every session. Each
request shows the token, read again from its file, so that a new one counts from the next
request on. What can go wrong is told apart: who asks isn't let in (`HubRefused`), the place in the
log is gone (`CursorGone`), the hub can't be asked now (`HubUnavailable`; also without a token).
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.net.origins import AddressPolicy, Origin
from proxy.net.session import Answer, Limits, Outgoing, Session
from proxy.net.sse import EventParser, ServerEvent, StreamInvalid
from proxy.oci.errors import BadGateway, Denied, RegistryError, SizeInvalid, Unavailable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
SILENCE_SECONDS = 20.0  # a few heartbeats
MAX_CONNECTIONS = 8
MAX_ANSWER_BYTES = 1 << 20
MAX_TOKEN_BYTES = 4096
_TOKEN = re.compile(r"[!-~]+")
_SECONDS = re.compile(r"[0-9]{1,9}")
_REJECTIONS = (400, 413)

JsonObject = Mapping[str, Any]


class HubUnavailable(Unavailable):
    """The hub can't be reached, doesn't answer, or answers what can't be used.

    `is_rejection` says that it can't use what was sent, so that the same won't do later either.
    """

    default_message = "the hub can't be reached"
    is_rejection: bool = False


class HubRefused(Denied):
    """The hub doesn't take the token that was shown: it is wrong, or its owner has to go."""

    default_message = "the hub doesn't take the token"


class CursorGone(RegistryError):
    """The hub's log doesn't go on from there: trimmed, or another log than it was."""

    status = 410
    default_message = "the hub's log has nothing after that place"


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the hub is, whom to trust there (None: the system's), and how we are known to it."""

    url: str
    token_file: Path
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Times in seconds. `silence` is how long a stream may say nothing, not even a heartbeat.

    answer_bytes: of the longest document.
    """

    connect: float = CONNECT_SECONDS
    answer: float = ANSWER_SECONDS
    silence: float = SILENCE_SECONDS
    answer_bytes: int = MAX_ANSWER_BYTES


class HubStream:
    """An open stream of events."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._parser = EventParser()

    @property
    def retry_seconds(self) -> float | None:
        """How long the hub wants to be left alone after this stream, if it said so."""
        return self._parser.retry_seconds

    async def batches(self) -> AsyncGenerator[list[ServerEvent]]:
        """Give the events as they arrive, those that come together at once, until the hub ends.

        Raises: HubUnavailable: the stream broke, was silent for too long, or can't be read.
        """
        chunks = self._answer.chunks()
        try:
            async for chunk in chunks:
                if events := self._parser.feed(chunk):
                    yield events
        except (Unavailable, StreamInvalid) as exc:
            raise HubUnavailable("the hub's stream broke") from exc
        finally:
            await chunks.aclose()


class HubClient:
    """Speaks to one hub. Every call raises HubRefused or HubUnavailable where it says nothing else.

    Raises: ValueError: the URL is none of http or https. OSError: the certificates can't be read.
    """

    def __init__(
        self, address: HubAddress, user_agent: str, limits: HubLimits | None = None
    ) -> None:
        limits = limits or HubLimits()
        self._origin = Origin.of(address.url)
        self._token_file = address.token_file
        self._answer_seconds = limits.answer
        self._answer_bytes = limits.answer_bytes
        self._session = Session(
            AddressPolicy([self._origin.host]),
            Limits(limits.connect, limits.silence, minimum_rate=0, max_connections=MAX_CONNECTIONS),
            ca_file=str(address.ca_file) if address.ca_file else None,
            user_agent=user_agent,
        )

    async def get(self, target: str) -> JsonObject:
        """Give what the hub says under *target*, a path with its query."""
        return await self._document("GET", target, None)

    async def post(self, target: str, document: JsonObject) -> JsonObject:
        """Give what the hub answers to *document*."""
        return await self._document("POST", target, json.dumps(document).encode())

    @asynccontextmanager
    async def events(self, after: str) -> AsyncIterator[HubStream]:
        """Open the stream of what follows *after*, a cursor.

        Raises: CursorGone.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        target = f"/v1/events?after={quote(after, safe=':')}"
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._send("GET", target, headers)
        except TimeoutError as exc:
            raise HubUnavailable("the hub doesn't answer") from exc
        try:
            if not answer.header("Content-Type").lower().startswith("text/event-stream"):
                raise HubUnavailable("the hub's answer is no stream of events")
            yield HubStream(answer)
        finally:
            answer.close()

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    # --- one request ------------------------------------------------------------------------------

    async def _document(self, method: str, target: str, body: bytes | None) -> JsonObject:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._send(method, target, headers, body)
                data = await answer.read(self._answer_bytes)
        except (TimeoutError, SizeInvalid) as exc:
            raise HubUnavailable("the hub doesn't answer in time, or too much") from exc
        except HubUnavailable:
            raise
        except Unavailable as exc:
            raise HubUnavailable from exc
        return _object(data)

    async def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Send a request; give an answer that isn't an error."""
        token = await asyncio.to_thread(read_token, self._token_file)
        outgoing = Outgoing(method, target, {**headers, "Authorization": f"Bearer {token}"}, body)
        try:
            answer = await self._session.send(self._origin, outgoing)
        except (Unavailable, BadGateway) as exc:
            raise HubUnavailable from exc
        if answer.status // 100 == 2:
            return answer
        await answer.drop()
        raise _error_of(answer)


def read_token(path: Path) -> str:
    """Give the token that a file holds. Blocks.

    Raises: HubUnavailable: it holds none, or can't be read. The hub has refused nothing: the file
            may be written anew at this moment, or descriptors may be short.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise HubUnavailable("the file of the token can't be read") from exc
    if len(text) > MAX_TOKEN_BYTES or _TOKEN.fullmatch(text) is None:
        raise HubUnavailable("the file of the token holds no token")
    return text


def _error_of(answer: Answer) -> RegistryError:
    match answer.status:
        case 401 | 403:
            return HubRefused(f"the hub doesn't take the token ({answer.status})")
        case 410:
            return CursorGone()
        case status:
            error = HubUnavailable(f"the hub answered {status}")
            error.is_rejection = status in _REJECTIONS
            if _SECONDS.fullmatch(after := answer.header("Retry-After")):
                error.retry_after_seconds = int(after)
                error.is_time_named = True
            return error


def _object(data: bytes) -> JsonObject:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise HubUnavailable("the hub's answer is no JSON") from exc
    if not isinstance(document, dict):
        raise HubUnavailable("the hub's answer is no JSON object")
    return document
