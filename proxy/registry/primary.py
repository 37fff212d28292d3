"""The primary as a `Puller`: what it says, asked on behalf of a caller."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from proxy.net.link import PrivateLink
from proxy.net.origins import TrustedOrigins
from proxy.net.session import Answer, Session
from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    BadGateway,
    ContentMismatch,
    Denied,
    DigestInvalid,
    ManifestInvalid,
    RangeInvalid,
    SizeInvalid,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from proxy.oci.manifest import (
    ACCEPT_ALL,
    MAX_MANIFEST_BYTES,
    SCHEMA1_TYPES,
    Manifest,
    check_manifest,
    is_manifest_type,
    media_type_of,
)
from proxy.oci.request import BlobPull, Listing, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest, parse_content_range
from proxy.registry.answers import retry_after
from proxy.registry.clock import NOW, moment
from proxy.registry.on_behalf import OnBehalf, accept_of
from proxy.registry.puller import Content, Resolution, Stream
from proxy.registry.redirects import REDIRECTS, Redirects
from proxy.registry.store import bytes_content, part_of
from proxy.telemetry.labels import Origin


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest from the primary. Docker schema 1 is passed on and never stored, since its
    digest isn't the hash of its bytes. `asked_at` is the moment of the question.
    """

    manifest: Manifest
    is_storable: bool
    asked_at: float = NOW


class Primary:
    """Reads from the primary. *count_bytes* hears of every body byte that was read."""

    def __init__(
        self,
        link: PrivateLink,
        session: Session,
        storage: TrustedOrigins,
        behalf: OnBehalf,
        count_bytes: Callable[[int], None],
    ) -> None:
        self.link = link
        self._redirects = Redirects(link, session, storage)
        self._behalf = behalf
        self._count_bytes = count_bytes

    # --- the contract ---------------------------------------------------------------------------

    async def resolve(self, pull: Pull) -> Resolution:
        """Give the descriptor by a HEAD; see `Puller.resolve`.

        A registry that leaves out what a descriptor needs is asked with a GET.
        """
        answer = await self._ask("HEAD", pull, {"Accept": accept_of(pull)})
        await answer.drop()
        descriptor = _descriptor_in(answer, pull)
        if descriptor is None:
            content = await self.open(pull)
            await content.aclose()
            return content.resolution
        return Resolution(descriptor, Origin.PRIMARY)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content as it comes; see `Puller.open`. A blob is not verified here.

        Raises: ContentMismatch, BadGateway: a manifest that isn't what it says it is.
        """
        if isinstance(pull, ManifestPull):
            manifest = (await self.manifest(pull)).manifest
            return part_of(bytes_content(manifest.descriptor, manifest.data, Origin.PRIMARY), part)
        return await self.open_blob(pull, part)

    # --- manifests --------------------------------------------------------------------------------

    async def is_changed(self, pull: ManifestPull, known: Digest) -> Resolution | None:
        """Ask what a tag names now; None if it is still *known*.

        Raises: as `resolve`.
        """
        headers = {"Accept": ACCEPT_ALL, "If-None-Match": f'"{known}"'}
        answer = await self._ask("HEAD", pull, headers)
        await answer.drop()
        if answer.status == 304:
            return None
        descriptor = _descriptor_in(answer, pull)
        if descriptor is None:
            descriptor = (await self.manifest(pull)).manifest.descriptor
        return None if descriptor.digest == known else Resolution(descriptor, Origin.PRIMARY)

    async def manifest(self, pull: ManifestPull) -> Fetched:
        """Fetch a manifest and check it.

        Raises: as `open`.
        """
        asked_at = moment()
        answer = await self._ask("GET", pull, {"Accept": ACCEPT_ALL})
        try:
            data = await answer.read(MAX_MANIFEST_BYTES)
        except SizeInvalid as exc:
            raise BadGateway("the manifest is larger than 4 MiB") from exc
        self._count_bytes(len(data))
        if answer.content_length not in (None, len(data)):
            raise Unavailable
        return replace(_checked(pull, data, answer), asked_at=asked_at)

    # --- blobs ------------------------------------------------------------------------------------

    async def open_blob(self, pull: BlobPull, part: RangeRequest | None) -> Stream:
        """Ask for a blob or a part of it; a primary that ignores the range gives all of it.

        Raises: as `open`.
        """
        headers = {} if part is None else {"Range": _range_header(part)}
        answer = await self._ask("GET", pull, headers)
        size = answer.content_length
        span = ByteSpan(0, size or 0)
        if answer.status == 206:
            found = parse_content_range(answer.header("Content-Range"))
            if part is None or found is None or not _is_asked_for(found[0], part, found[1]):
                answer.close()
                raise BadGateway("the primary's answer is not the range that was asked for")
            span, size = found
        if size is None:
            size = await self._size_elsewhere(pull, answer)
            span = ByteSpan(0, size or 0)
        resolution = Resolution(Descriptor(OCTET_STREAM, pull.digest, size or 0), Origin.PRIMARY)
        is_sized, chunks = size is not None, self._counted(answer)
        return Stream(resolution, span, chunks, answer.close, is_sized, answer.place)

    async def _size_elsewhere(self, pull: BlobPull, answer: Answer) -> int | None:
        """Ask for the size with a HEAD where a GET is chunked; None if that doesn't tell either."""
        try:
            head = await self._ask("HEAD", pull, {})
        except BaseException:
            answer.close()
            raise
        await head.drop()
        return head.content_length

    async def _counted(self, answer: Answer) -> AsyncGenerator[bytes]:
        async for chunk in answer.chunks():
            self._count_bytes(len(chunk))
            yield chunk

    # --- listings ---------------------------------------------------------------------------------

    async def listing(self, listing: Listing) -> Answer:
        """Ask for a listing; the body is still to be read.

        Raises: as `resolve`.
        """
        return await self._ask("GET", listing, {"Accept": "application/json, */*;q=0.5"})

    async def ping(self, authorization: str) -> None:
        """Ask whether the primary accepts an Authorization header at all.

        Raises: Unauthorized, Denied: it doesn't. Unavailable: it can't be asked, or what answers
        is no registry.
        """
        answer = await self.link.request("GET", "/v2/", {"Authorization": authorization})
        await answer.drop()
        match answer.status:
            case 401:
                raise Unauthorized(error="invalid_token")
            case 403:
                raise Denied
            case 429:
                wait_seconds = retry_after(answer.header("Retry-After"))
                raise TooManyRequests(retry_after_seconds=wait_seconds)
            case status if status >= 400:
                raise Unavailable("the primary's /v2/ is not answered as a registry does")
            case _:
                return

    # --- asking -----------------------------------------------------------------------------------

    async def _ask(self, method: str, asked: Pull | Listing, headers: dict[str, str]) -> Answer:
        """Send a read on its caller's behalf and follow redirects.

        Raises: as `OnBehalf.ask`.
        """
        answer = await self._behalf.ask(method, asked, headers)
        if answer.status in REDIRECTS:
            answer = await self._redirects.follow(method, asked.path, answer, headers)
        if answer.header("Content-Encoding") not in ("", "identity"):
            answer.close()
            raise BadGateway("the primary's answer is encoded though identity was asked for")
        return answer


def _range_header(part: RangeRequest) -> str:
    first = "" if part.first is None else part.first
    last = "" if part.last is None else part.last
    return f"bytes={first}-{last}"


def _is_asked_for(span: ByteSpan, part: RangeRequest, size: int) -> bool:
    try:
        return span == part.on(size)
    except RangeInvalid:
        return False


def _descriptor_in(answer: Answer, pull: Pull) -> Descriptor | None:
    """Give the descriptor that a HEAD's headers make; None if something is missing."""
    size = answer.content_length
    if size is None:
        return None
    if isinstance(pull, BlobPull):
        return Descriptor(OCTET_STREAM, pull.digest, size)
    media_type = answer.header("Content-Type").partition(";")[0].strip()
    digest = pull.reference if isinstance(pull.reference, Digest) else _digest_header(answer)
    if digest is None or not is_manifest_type(media_type):
        return None
    return Descriptor(media_type, digest, size)


def _digest_header(answer: Answer) -> Digest | None:
    try:
        return Digest.parse(answer.header("Docker-Content-Digest"))
    except DigestInvalid:
        return None


def _checked(pull: ManifestPull, data: bytes, answer: Answer) -> Fetched:
    media_type = answer.header("Content-Type").partition(";")[0].strip()
    named = pull.reference if isinstance(pull.reference, Digest) else _digest_header(answer)
    if media_type in SCHEMA1_TYPES:
        if named is None:
            raise BadGateway("the primary doesn't say the manifest's digest")
        return Fetched(Manifest(Descriptor(media_type, named, len(data)), data), is_storable=False)
    digest = named or Digest.of(data)
    try:
        checked = check_manifest(data, digest, media_type or media_type_of(data))
        return Fetched(checked, is_storable=True)
    except DigestInvalid as exc:
        raise ContentMismatch("the manifest did not match its digest") from exc
    except ManifestInvalid as exc:
        raise BadGateway(exc.message) from exc
