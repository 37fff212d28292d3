"""Pulls: manifests and blobs, read through the chain of pullers.

A HEAD by which a push may find out what it needn't send is the primary's to answer.
"""

from functools import partial

from aiohttp import web
from multidict import CIMultiDict

from proxy.oci.digest import Digest
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import RangeRequest, parse_range
from proxy.registry.access import Presented
from proxy.registry.primary_first import PrimaryFirst
from proxy.registry.puller import Bytes, Content, ReadyPuller, Resolution
from proxy.registry.store import part_of
from proxy.telemetry.labels import Kind, Outcome
from proxy.web.exchange import Exchange
from proxy.web.mending import Reopen
from proxy.web.ready import ReadyAnswer, can_be_ready, ready_head
from proxy.web.respond import content_headers, matches_etag, stale_headers
from proxy.web.send import Sender


class Pulls:
    """Answers GET and HEAD of manifests and blobs."""

    def __init__(self, puller: ReadyPuller, primary_first: PrimaryFirst, sender: Sender) -> None:
        self._puller = puller
        self._primary_first = primary_first
        self._sender = sender

    async def answer(
        self, exchange: Exchange, pull: Pull, presented: Presented
    ) -> web.StreamResponse:
        """Answer one pull as the caller who presented itself."""
        exchange.event = "pull.served"
        asked = _as_caller(pull, presented)
        if exchange.request.method == "HEAD" and _may_be_of_a_push(pull, presented):
            return self._head(exchange, await self._primary_first.resolve(asked))
        at_hand = self._puller.at_hand(asked)
        if at_hand is not None:
            return self._from_memory(exchange, pull, at_hand)
        if exchange.request.method == "HEAD":
            return self._head(exchange, await self._puller.resolve(asked))
        part = _asked_part(exchange, pull)
        content = await self._puller.open(asked, part)
        try:
            return await self._get(exchange, content, part, partial(self._puller.open, asked))
        finally:
            await content.aclose()

    def _from_memory(self, exchange: Exchange, pull: Pull, content: Bytes) -> web.StreamResponse:
        """Answer from memory, as most pulls of manifests are."""
        if can_be_ready(exchange.request):
            return self._ready(exchange, content)
        if exchange.request.method == "HEAD":
            return self._head(exchange, content.resolution)
        headers = _headers(exchange, content.resolution)
        if _is_unchanged(exchange, headers):
            return _not_modified(exchange, headers)
        part = _asked_part(exchange, pull)
        content = part_of(content, part)
        return self._sender.send_bytes(exchange, content, _status(headers, content, part), headers)

    def _ready(self, exchange: Exchange, content: Bytes) -> ReadyAnswer:
        exchange.origin = content.resolution.origin
        is_blob = exchange.subject.kind is Kind.BLOB
        head = ready_head(content.resolution.descriptor, is_blob=is_blob)
        if exchange.request.method == "HEAD":
            return ReadyAnswer(head, b"")
        self._sender.count(exchange, content.resolution.origin, len(content.data))
        return ReadyAnswer(head, content.data)

    def _head(self, exchange: Exchange, resolution: Resolution) -> web.Response:
        headers = _headers(exchange, resolution)
        if _is_unchanged(exchange, headers):
            return _not_modified(exchange, headers)
        headers["Content-Length"] = str(resolution.descriptor.size)
        return web.Response(status=200, headers=headers)

    async def _get(
        self,
        exchange: Exchange,
        content: Content,
        part: RangeRequest | None,
        reopen: Reopen,
    ) -> web.StreamResponse:
        headers = _headers(exchange, content.resolution)
        if _is_unchanged(exchange, headers):
            return _not_modified(exchange, headers)
        status = _status(headers, content, part)
        return await self._sender.send(exchange, content, status, headers, reopen)


def _may_be_of_a_push(pull: Pull, presented: Presented) -> bool:
    """Say whether a HEAD may ask what a push has to send, rather than what a pull gets."""
    if isinstance(pull, BlobPull):
        return not presented.is_our_token
    return isinstance(pull.reference, Digest) and presented.is_primarys_token


def _as_caller(pull: Pull, presented: Presented) -> Pull:
    if isinstance(pull, ManifestPull):
        return ManifestPull(pull.repository, pull.reference, presented.caller)
    return BlobPull(pull.repository, pull.digest, presented.caller)


def _asked_part(exchange: Exchange, pull: Pull) -> RangeRequest | None:
    """Give the part that is asked for: of blobs only, and only of this very content.

    A digest never changes its bytes: If-Range can only fail by naming another (RFC 9110, 13.1.5).
    """
    headers = exchange.request.headers
    wanted = headers.get("Range")
    if wanted is None or isinstance(pull, ManifestPull):
        return None
    condition = headers.get("If-Range")
    if condition is not None and condition.strip() != f'"{pull.digest}"':
        return None
    return parse_range(wanted)


def _headers(exchange: Exchange, resolution: Resolution) -> CIMultiDict[str]:
    exchange.origin = resolution.origin
    exchange.stale_seconds = resolution.stale_seconds
    is_blob = exchange.subject.kind is Kind.BLOB
    headers = content_headers(resolution.descriptor, is_blob=is_blob)
    headers["X-Request-Id"] = exchange.request_id
    if resolution.stale_seconds is not None:
        headers.update(stale_headers(resolution.stale_seconds))
    return headers


def _status(headers: CIMultiDict[str], content: Content, part: RangeRequest | None) -> int:
    """Give the status of content that is sent, and note in its headers which part it is."""
    if part is None:
        return 200
    headers["Content-Range"] = content.span.content_range(content.resolution.descriptor.size)
    return 206


def _is_unchanged(exchange: Exchange, headers: CIMultiDict[str]) -> bool:
    condition = exchange.request.headers.get("If-None-Match", "")
    return matches_etag(condition, headers["ETag"])


def _not_modified(exchange: Exchange, headers: CIMultiDict[str]) -> web.Response:
    exchange.outcome = Outcome.NOT_MODIFIED
    del headers["Content-Type"]
    return web.Response(status=304, headers=headers)
