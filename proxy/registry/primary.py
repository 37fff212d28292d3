"""The primary as a `Puller`: what it says, asked with a caller's own credential.

Every 2xx and 3xx of its /v2/ is a right granted to that caller for that repository, every 401 or
403 to a fresh credential a right ended: the decisions are noted here, where they are made.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from proxy.net.link import PrivateLink
from proxy.net.origins import TrustedOrigins
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.caller import ANONYMOUS, Caller
from proxy.oci.challenge import Scheme, repository_scope
from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    BadGateway,
    ContentMismatch,
    Denied,
    DigestInvalid,
    ManifestInvalid,
    SizeInvalid,
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
)
from proxy.oci.reference import Repository
from proxy.oci.request import Action, BlobPull, Catalog, Listing, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest, parse_content_range
from proxy.registry.answers import MAX_ERROR_BYTES, error_of
from proxy.registry.credentials import Basic, CredentialKeeper
from proxy.registry.decisions import Decisions
from proxy.registry.puller import Content, Resolution, Stream
from proxy.registry.realm import Realm, challenge_of
from proxy.registry.store import bytes_content, part_of
from proxy.telemetry.labels import Origin

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})

RightKey = tuple[Caller, Repository, Action]


@dataclass(frozen=True, slots=True)
class KnownCallers:
    """What is remembered of callers: credentials, rights, accepted logins."""

    keeper: CredentialKeeper
    rights: Decisions[RightKey]
    logins: Decisions[Caller]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest from the primary. Docker schema 1 is passed on and never stored, since its
    digest isn't the hash of its bytes.
    """

    manifest: Manifest
    is_storable: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request needs besides its path."""

    caller: Caller
    repository: Repository | None
    asked: Pull | Listing


class Primary:
    """Reads from the primary. *count_bytes* hears of every body byte that was read."""

    def __init__(
        self,
        link: PrivateLink,
        session: Session,
        storage: TrustedOrigins,
        realm: Realm,
        known: KnownCallers,
        count_bytes: Callable[[int], None],
    ) -> None:
        self.link = link
        self._session = session
        self._storage = storage
        self._realm = realm
        self._keeper = known.keeper
        self._rights = known.rights
        self._logins = known.logins
        self._count_bytes = count_bytes

    # --- the contract ---------------------------------------------------------------------------

    async def resolve(self, pull: Pull) -> Resolution:
        """Give the descriptor by a HEAD; see `Puller.resolve`.

        A registry that leaves out what a descriptor needs is asked with a GET.
        """
        answer = await self._ask("HEAD", pull, {"Accept": _accept(pull)})
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
        answer = await self._ask("GET", pull, {"Accept": ACCEPT_ALL})
        try:
            data = await answer.read(MAX_MANIFEST_BYTES)
        except SizeInvalid as exc:
            raise BadGateway("the manifest is larger than 4 MiB") from exc
        self._count_bytes(len(data))
        if answer.content_length not in (None, len(data)):
            raise Unavailable
        return _checked(pull, data, answer)

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
            span = ByteSpan(0, size)
        descriptor = Descriptor(OCTET_STREAM, pull.digest, size)
        resolution = Resolution(descriptor, Origin.PRIMARY)
        return Stream(resolution, span, self._counted(answer), answer.close)

    async def _size_elsewhere(self, pull: BlobPull, answer: Answer) -> int:
        """Ask for the size with a HEAD, where a GET is chunked."""
        head = await self._ask("HEAD", pull, {})
        await head.drop()
        if head.content_length is None:
            answer.close()
            raise BadGateway("the primary doesn't say how long the blob is")
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

        Raises: Unauthorized: it doesn't. Unavailable.
        """
        answer = await self.link.request("GET", "/v2/", {"Authorization": authorization})
        await answer.drop()
        if answer.status in (401, 403):
            raise Unauthorized(error="invalid_token")
        if answer.status == 429 or answer.status >= 500:
            raise Unavailable

    # --- asking -----------------------------------------------------------------------------------

    async def _ask(self, method: str, asked: Pull | Listing, headers: dict[str, str]) -> Answer:
        """Send a read with the caller's credential, follow redirects, note what was decided.

        Raises: whatever a status of 400 or more stands for.
        """
        repository = None if isinstance(asked, Catalog) else asked.repository
        answer = await self._authorized(method, _Asked(asked.caller, repository, asked), headers)
        if answer.status in REDIRECTS:
            answer = await self._follow(method, asked.path, answer, headers)
        if answer.header("Content-Encoding") not in ("", "identity"):
            answer.close()
            raise BadGateway("the primary's answer is encoded though identity was asked for")
        return answer

    async def _authorized(self, method: str, asked: _Asked, headers: dict[str, str]) -> Answer:
        target = asked.asked.path
        authorization = await self._authorization(asked, is_fresh=False)
        answer = await self.link.request(method, target, {**headers, **authorization})
        if answer.status == 401 and self._may_renew(asked.caller):
            await answer.drop()
            if (challenge := challenge_of(answer)) is not None:
                self._realm.learn(challenge)
            authorization = await self._authorization(asked, is_fresh=True)
            answer = await self.link.request(method, target, {**headers, **authorization})
        if answer.status < 400:
            self._note_grant(asked)
            return answer
        body = b"" if method == "HEAD" else await answer.read(MAX_ERROR_BYTES)
        await answer.drop()
        error = error_of(answer.status, answer.headers, body, asked.asked)
        if isinstance(error, (Unauthorized, Denied)):
            self._note_refusal(asked, error)
        if isinstance(error, Unauthorized) and self._may_renew(asked.caller):
            error.error = "insufficient_scope"  # the login is good: a fresh token was refused
        raise error

    def _may_renew(self, caller: Caller) -> bool:
        """Say whether another token could be had: what clients present themselves is final."""
        challenge = self._realm.known_challenge()
        is_token_world = challenge is None or challenge.scheme is not Scheme.BASIC
        credential = self._keeper.credential(caller)
        return is_token_world and (caller == ANONYMOUS or isinstance(credential, Basic))

    async def _authorization(self, asked: _Asked, *, is_fresh: bool) -> dict[str, str]:
        """Give the Authorization header for a caller, if it has one.

        Raises: Unauthorized: the token names a caller whose credential isn't held any more.
        """
        credential = self._keeper.credential(asked.caller)
        if credential is None and asked.caller != ANONYMOUS:
            raise Unauthorized("log in again", error="invalid_token")
        challenge = await self._realm.challenge()
        is_token_needed = challenge.scheme is Scheme.BEARER and asked.repository is not None
        if is_token_needed and (credential is None or isinstance(credential, Basic)):
            token = await self._pull_token(asked, credential, is_fresh=is_fresh)
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": credential.header} if credential else {}

    async def _pull_token(self, asked: _Asked, credential: Basic | None, *, is_fresh: bool) -> str:
        scope = repository_scope(asked.repository or "", Action.PULL)
        get = self._realm.fresh_pull_token if is_fresh else self._realm.pull_token
        try:
            token = await get(asked.caller, credential, scope)
        except Unauthorized as exc:
            self._end_login(asked.caller, exc)
            raise
        self._logins.grant(asked.caller)
        return token

    def _end_login(self, caller: Caller, error: Unauthorized) -> None:
        """A credential isn't accepted any more: all that it was granted ends."""
        if self._logins.refusal(caller) is None:
            self._rights.end_where(lambda key: key[0] == caller)
        self._logins.refuse(caller, error)
        self._keeper.forget(caller)

    def _note_grant(self, asked: _Asked) -> None:
        if asked.repository is not None:
            self._rights.grant((asked.caller, asked.repository, Action.PULL))

    def _note_refusal(self, asked: _Asked, error: Unauthorized | Denied) -> None:
        if asked.repository is not None:
            self._rights.refuse((asked.caller, asked.repository, Action.PULL), error)

    async def _follow(
        self, method: str, path: str, answer: Answer, headers: dict[str, str]
    ) -> Answer:
        """Go where the primary points, to trusted storage only and without credentials."""
        url = f"{self.link.origin}{path}"
        for _ in range(MAX_REDIRECTS):
            await answer.drop()
            url = urljoin(url, answer.header("Location"))
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            if url.startswith(f"{self.link.origin}/"):
                answer = await self.link.request(method, target, headers)
            else:
                origin = self._storage.check(url)
                answer = await self._session.send(origin, Outgoing(method, target, headers))
            if answer.status not in REDIRECTS:
                break
        if answer.status not in (200, 206, 304):
            answer.close()
            raise Unavailable("the primary's storage didn't give the content")
        return answer


def _accept(pull: Pull) -> str:
    return ACCEPT_ALL if isinstance(pull, ManifestPull) else "*/*"


def _range_header(part: RangeRequest) -> str:
    first = "" if part.first is None else part.first
    last = "" if part.last is None else part.last
    return f"bytes={first}-{last}"


def _is_asked_for(span: ByteSpan, part: RangeRequest, size: int) -> bool:
    return span == part.on(size)


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
        return Fetched(check_manifest(data, digest, media_type), is_storable=True)
    except DigestInvalid as exc:
        raise ContentMismatch("the manifest did not match its digest") from exc
    except ManifestInvalid as exc:
        raise BadGateway(exc.message) from exc
