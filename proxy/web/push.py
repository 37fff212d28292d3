"""Pushes: everything that isn't a read goes to the primary, with the caller's own credential.

Nothing is stored before it goes on, nothing goes on before the primary wants it: the body is
asked for (100 Continue) and read only once the primary asked for it. On the way the bytes are
copied (`UploadCopies`), and what the primary accepted is noted (`Writes`).
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from aiohttp import web

from proxy.net.link import PrivateLink
from proxy.net.session import Answer
from proxy.net.upload import UploadBody
from proxy.oci.digest import Algorithm
from proxy.oci.errors import BadRequest, RegistryError, SizeInvalid, Unauthorized
from proxy.oci.manifest import MAX_MANIFEST_BYTES
from proxy.oci.reference import Repository
from proxy.oci.request import (
    BlobDelete,
    ManifestDelete,
    ManifestPut,
    UploadStart,
    UploadStep,
    UploadVerb,
    Write,
)
from proxy.registry.access import Presented
from proxy.registry.answers import MAX_ERROR_BYTES, error_in
from proxy.registry.uploads import Copy, UploadCopies
from proxy.registry.writes import Writes
from proxy.serving.body import ask_for_body
from proxy.telemetry.labels import Origin
from proxy.web.exchange import Exchange
from proxy.web.location import Locations
from proxy.web.push_right import PushRights
from proxy.web.respond import BASE_HEADERS, JSON, PASSING_HEADERS, outcome_of_status

FORWARDED_HEADERS = ("Content-Type", "Content-Range", "Accept", "OCI-Chunk-Min-Length")


@dataclass(slots=True)
class _Passage:
    """One write on its way: what was copied of its body.

    `is_ahead`: it starts beyond what the copy holds, so that nothing of it can be added.
    """

    exchange: Exchange
    write: Write
    presented: Presented
    began_at: float
    copy: Copy | None = None
    is_ahead: bool = False
    manifest: bytearray | None = None
    refusal: RegistryError | None = None


class Pushes:
    """Relays writes. *read_timeout*: seconds that a client may send no byte of a body."""

    def __init__(
        self,
        link: PrivateLink,
        locations: Locations,
        copies: UploadCopies,
        writes: Writes,
        rights: PushRights,
        read_timeout: float,
    ) -> None:
        self._link = link
        self._locations = locations
        self._copies = copies
        self._writes = writes
        self._rights = rights
        self._read_timeout = read_timeout

    async def answer(
        self, exchange: Exchange, write: Write, presented: Presented
    ) -> web.StreamResponse:
        """Relay one write and its answer.

        Raises: Unauthorized: with one of our own tokens, which are for pulls. Unavailable: the
        primary can't be reached, or doesn't take the body. UntrustedOrigin: it names a foreign
        Location.
        """
        exchange.event = "push.relayed"
        exchange.origin = Origin.PRIMARY
        if presented.is_our_token:
            raise Unauthorized("the token is for pulls", error="insufficient_scope")
        passage = _Passage(exchange, write, presented, self._writes.now())
        try:
            await self._prepare(passage)
            answer = await self._forward(passage)
            response = await self._respond(passage, answer)
            await self._follow_up(passage, answer, response)
        except (RegistryError, TimeoutError, ConnectionError) as exc:
            self._keep_for_later(passage)
            raise passage.refusal or exc from None
        finally:
            if passage.copy is not None:
                await self._copies.drop(passage.copy)
        return response

    def _keep_for_later(self, passage: _Passage) -> None:
        """Keep the copy of a session whose PATCH broke: it is cut back when it goes on."""
        write = passage.write
        if passage.copy is not None and isinstance(write, UploadStep):
            self._copies.remember(_session(write.target), passage.copy)
            passage.copy = None

    # --- forth ------------------------------------------------------------------------------------

    async def _prepare(self, passage: _Passage) -> None:
        """Take up the copy that this request's body belongs to."""
        match passage.write:
            case UploadStep(verb=UploadVerb.PATCH | UploadVerb.PUT):
                passage.copy = self._copies.take(_session(passage.write.target))
                await self._cut_to_start(passage)
            case UploadStart(digest=digest) if digest is not None:
                passage.copy = await self._copies.begin(digest.algorithm)
            case ManifestPut():
                if (passage.exchange.request.content_length or 0) > MAX_MANIFEST_BYTES:
                    raise SizeInvalid("the manifest is larger than 4 MiB")
                passage.manifest = bytearray()
            case _:
                pass

    async def _cut_to_start(self, passage: _Passage) -> None:
        """A chunk says where it starts: what a broken one left beyond that is dropped."""
        start = passage.exchange.request.headers.get("Content-Range", "").partition("-")[0]
        if passage.copy is None or not (start.isascii() and start.isdigit()):
            return
        passage.is_ahead = int(start) > passage.copy.spool.accepted
        if not passage.is_ahead:
            await self._copies.cut_back(passage.copy, int(start))

    async def _forward(self, passage: _Passage) -> Answer:
        request = passage.exchange.request
        body = self._body(passage) if request.body_exists else None
        headers = {
            name: request.headers[name] for name in FORWARDED_HEADERS if name in request.headers
        }
        headers.update(passage.presented.headers)
        if body is None and request.method != "DELETE":
            headers["Content-Length"] = "0"
        return await self._link.request(
            request.method,
            passage.write.path,
            headers,
            body=body,
        )

    def _body(self, passage: _Passage) -> UploadBody:
        request = passage.exchange.request
        return UploadBody(
            self._chunks(passage),
            request.content_length,
            may_send_unasked=lambda: self._may_push(passage),
            on_start=lambda: ask_for_body(request),
        )

    async def _chunks(self, passage: _Passage) -> AsyncGenerator[bytes]:
        while chunk := await self._received(passage):
            passage.exchange.sent_bytes += len(chunk)
            await self._copy(passage, chunk)
            yield chunk

    async def _received(self, passage: _Passage) -> bytes:
        """Give the next bytes of the client's body, none at its end.

        Raises: BadRequest: it stalls, or its framing broke. ConnectionError: the client left.
        """
        try:
            async with asyncio.timeout(self._read_timeout):
                return await passage.exchange.request.content.readany()
        except (TimeoutError, web.RequestPayloadError) as exc:
            raise BadRequest("the body of the request broke off") from exc

    async def _copy(self, passage: _Passage, chunk: bytes) -> None:
        if passage.copy is not None and not passage.is_ahead:
            await self._copies.add(passage.copy, chunk)
        if passage.manifest is not None:
            passage.manifest += chunk
            if len(passage.manifest) > MAX_MANIFEST_BYTES:
                passage.refusal = SizeInvalid("the manifest is larger than 4 MiB")
                raise passage.refusal

    async def _may_push(self, passage: _Passage) -> bool:
        """Say whether the body may go though the primary didn't ask for it within a second."""
        try:
            await self._rights.require(passage.presented, passage.write.repository)
        except RegistryError as exc:
            passage.refusal = exc
            return False
        return True

    # --- back -------------------------------------------------------------------------------------

    async def _respond(self, passage: _Passage, answer: Answer) -> web.Response:
        exchange = passage.exchange
        self._rights.note(passage.presented, passage.write.repository, answer.status)
        if answer.status == 401:
            await answer.drop()
            raise await self._rights.refusal(passage.presented, answer)
        body = await answer.read(MAX_ERROR_BYTES)
        exchange.outcome = outcome_of_status(answer.status)
        headers = {**BASE_HEADERS, "X-Request-Id": exchange.request_id}
        headers.update(
            {name: answer.header(name) for name in PASSING_HEADERS if answer.header(name)}
        )
        if location := answer.header("Location"):
            headers["Location"] = self._locations.ours(passage.write.path, location)
        if answer.status >= 400:
            headers["Content-Type"] = JSON
            body = body if error_in(body)[0] else _plain_error(answer.status)
        return web.Response(status=answer.status, headers=headers, body=body)

    async def _follow_up(self, passage: _Passage, answer: Answer, response: web.Response) -> None:
        """Do here what the primary's answer means."""
        write = passage.write
        match write:
            case UploadStart() | UploadStep():
                if answer.status == 201:
                    await self._writes.blob_accepted()
                await self._upload_went_on(passage, write, answer, response)
            case ManifestPut() if answer.status == 201 and passage.manifest is not None:
                content_type = passage.exchange.request.headers.get("Content-Type", "")
                said = (content_type, answer.header("Docker-Content-Digest"))
                data = bytes(passage.manifest)
                await self._writes.manifest_put(write, data, *said, passage.began_at)
            case ManifestDelete() | BlobDelete() if answer.status < 300:
                await self._writes.deleted(write)
            case _:
                pass

    async def _upload_went_on(
        self,
        passage: _Passage,
        write: UploadStart | UploadStep,
        answer: Answer,
        response: web.Response,
    ) -> None:
        session = _session(response.headers.get("Location", ""))
        match write, answer.status:
            case UploadStart(repository=repository, mount=mount), 201 if mount is not None:
                await self._writes.blob_linked(repository, mount)
            case (
                (
                    UploadStart(repository=Repository() as repository, digest=digest)
                    | UploadStep(repository=Repository() as repository, digest=digest)
                ),
                201,
            ) if digest is not None and passage.copy is not None:
                await self._copies.keep(passage.copy, repository, digest)
            case UploadStart(digest=digest), 202:  # also where a whole blob was offered in vain
                copy = await self._copies.begin(digest.algorithm if digest else Algorithm.SHA256)
                if copy is not None:
                    self._copies.remember(session, copy)
            case UploadStep(verb=UploadVerb.PATCH), 202 | 416 if passage.copy is not None:
                await self._cut_to_acknowledged(passage.copy, answer)
                self._copies.remember(session or _session(write.target), passage.copy)
                passage.copy = None
            case UploadStep(verb=UploadVerb.PATCH), status if status == 429 or status >= 500:
                self._keep_for_later(passage)
            case UploadStep(verb=UploadVerb.GET), 204:
                await self._cut_back_kept(write, session, answer)
            case UploadStep(verb=UploadVerb.DELETE), 204:
                copy = self._copies.take(_session(write.target))
                if copy is not None:
                    await self._copies.drop(copy)
            case _:
                pass

    async def _cut_back_kept(self, write: UploadStep, session: str, answer: Answer) -> None:
        copy = self._copies.take(_session(write.target))
        if copy is not None:
            await self._cut_to_acknowledged(copy, answer)
            self._copies.remember(session or _session(write.target), copy)

    async def _cut_to_acknowledged(self, copy: Copy, answer: Answer) -> None:
        """Make a copy hold what the primary says it has, where it says so; the hash decides."""
        last = answer.header("Range").removeprefix("bytes=").removeprefix("0-")
        if not (last.isascii() and last.isdigit()):
            return
        # docker-registry says 0-0 for an empty session as well as for one byte
        is_empty = last == "0" and copy.spool.accepted != 1
        await self._copies.cut_back(copy, 0 if is_empty else int(last) + 1)


def _session(target: str) -> str:
    """Give what names an upload session in all its requests: the path without the state."""
    return target.partition("?")[0]


def _plain_error(status: int) -> bytes:
    message = f"the primary registry answered with status {status}"
    return f'{{"errors":[{{"code":"UNKNOWN","message":"{message}"}}]}}'.encode()
