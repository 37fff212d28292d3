"""Reads of the primary's /v2/ on behalf of a caller: with its own credential, as the primary wants
it presented, and with what the answer decides noted where it was made.

Every 2xx and 3xx is a right granted to that caller for that repository, every 401 or 403 to what
was presented fresh a right ended. A token from memory that is refused proves nothing: it may have
expired, so another one is fetched and tried once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.net.link import PrivateLink
from proxy.net.session import Answer
from proxy.oci.caller import ANONYMOUS, REPLICA, Caller
from proxy.oci.challenge import CATALOGUE_SCOPE, Scheme, repository_scope
from proxy.oci.errors import BadGateway, Denied, RegistryError, Unauthorized
from proxy.oci.manifest import ACCEPT_ALL
from proxy.oci.reference import Repository
from proxy.oci.request import Action, BlobPull, Catalog, Listing, ManifestPull, Pull
from proxy.registry.answers import MAX_ERROR_BYTES, error_of
from proxy.registry.callers import KnownCallers, RightKey
from proxy.registry.clock import Clock
from proxy.registry.credentials import Basic
from proxy.registry.decisions import Decisions
from proxy.registry.realm import Realm, challenge_of
from proxy.registry.token_service import TokenService, TokenWish

ANY_TIME = float("-inf")
NO_PAGE = "text/html"


@dataclass(frozen=True, slots=True)
class _Login:
    """What a request presents: a header, and for a token of the primary its text.

    `proven_at` is since when the credential behind it is known to be good; `is_fresh` tells what
    was fetched for this very request from what was in memory.
    """

    header: str
    proven_at: float
    token: str = ""
    is_fresh: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.header} if self.header else {}


class OnBehalf:
    """Sends reads with callers' credentials."""

    def __init__(
        self,
        link: PrivateLink,
        realm: Realm,
        tokens: TokenService,
        known: KnownCallers,
        clock: Clock,
    ) -> None:
        self._link = link
        self._realm = realm
        self._tokens = tokens
        self._known = known
        self._clock = clock

    async def ask(
        self,
        method: str,
        asked: Pull | Listing,
        headers: Mapping[str, str],
        *,
        proven_after: float = ANY_TIME,
    ) -> Answer:
        """Send a read with its caller's credential; give the answer, a redirect included.

        A token from memory is good enough if it was asked for after *proven_after*.

        Raises: whatever a status of 400 or more stands for. BadGateway: a page came in place of
        a registry's answer: it proves nothing.
        """
        login = await self._login(asked, proven_after)
        answer = await self._send(method, asked, headers, login)
        if answer.status in (401, 403):
            try:
                again = await self._login_again(asked, login, answer)
            except BaseException:
                answer.close()
                raise
            if again is not None:
                await answer.drop()
                login = again
                answer = await self._send(method, asked, headers, login)
        if answer.status < 400:
            if answer.header("Content-Type").lower().startswith(NO_PAGE):
                answer.close()
                raise BadGateway("the primary answered with a page")
            self._note_grant(asked, login)
            return answer
        body = b"" if method == "HEAD" else await answer.read(MAX_ERROR_BYTES)
        await answer.drop()
        raise self._refusal(asked, login, answer, body)

    async def prove(self, pull: Pull) -> None:
        """Return if the primary lets the caller pull; what it then points to doesn't matter.

        The proof is its answer to a HEAD of the very thing, with a credential that was checked
        lately.

        Raises: as `ask`.
        """
        proven_after = self._known.rights.oldest_proof()
        headers = {"Accept": accept_of(pull)}
        answer = await self.ask("HEAD", pull, headers, proven_after=proven_after)
        await answer.drop()

    async def _send(
        self, method: str, asked: Pull | Listing, headers: Mapping[str, str], login: _Login
    ) -> Answer:
        return await self._link.request(method, asked.path, {**headers, **login.headers})

    # --- what is presented ------------------------------------------------------------------------

    async def _login(
        self, asked: Pull | Listing, proven_after: float, refused: _Login | None = None
    ) -> _Login:
        """Give what a caller presents; after *refused* something else, if there is anything.

        Raises: Unauthorized: the caller's credential isn't held any more, or not accepted.
        """
        credential = self._known.keeper.credential(asked.caller)
        if credential is None and asked.caller not in (ANONYMOUS, REPLICA):
            raise Unauthorized("log in again", error="invalid_token")
        challenge = await self._realm.challenge()
        repository = _repository(asked)
        may_go_without = credential is None and self._realm.is_open and refused is None
        is_token_wanted = challenge.scheme is Scheme.BEARER and not may_go_without
        if not is_token_wanted or not isinstance(credential, Basic | None):
            return _Login(credential.header if credential else "", self._clock.now())
        if repository is None:
            return await self._catalogue_login(asked.caller, credential, refused)
        return await self._token_login(
            TokenWish(asked.caller, credential, repository_scope(repository, Action.PULL)),
            (asked.caller, repository, Action.PULL),
            proven_after,
            refused.token if refused else "",
        )

    async def _catalogue_login(
        self, caller: Caller, credential: Basic | None, refused: _Login | None
    ) -> _Login:
        """Give what is presented for the catalogue: of ourselves a token for it. A client's login
        behind a token of ours is none for what that token wasn't asked for.
        """
        if caller != REPLICA or credential is None:
            return _Login(credential.header if credential else "", self._clock.now())
        now, refused_token = self._clock.now(), refused.token if refused else ""
        wish = TokenWish(caller, credential, CATALOGUE_SCOPE)
        token = await self._tokens.pull_token(wish, other_than=refused_token)
        return _Login(f"Bearer {token.text}", token.asked_at, token.text, token.asked_at >= now)

    async def _token_login(
        self, wish: TokenWish, right: RightKey, proven_after: float, refused: str
    ) -> _Login:
        now = self._clock.now()
        try:
            token = await self._tokens.pull_token(
                wish, asked_after=proven_after, other_than=refused
            )
        except Unauthorized as exc:
            self._known.end_login(right[0], exc)
            raise
        except Denied as exc:
            self._known.rights.refuse(right, exc)
            raise
        self._known.logins.grant(right[0], token.asked_at)
        return _Login(f"Bearer {token.text}", token.asked_at, token.text, token.asked_at >= now)

    async def _login_again(
        self, asked: Pull | Listing, login: _Login, answer: Answer
    ) -> _Login | None:
        """Give something else to present, where the primary may take that; else None.

        It may if a token from memory has expired meanwhile, or if the primary wants credentials
        presented otherwise than it did.
        """
        known = self._realm.known_challenge()
        challenge = challenge_of(answer) if answer.status == 401 else None
        if challenge is not None:
            await self._realm.learn(challenge)
        is_news = self._realm.known_challenge() != known
        if login.token and login.is_fresh and not is_news:
            return None
        again = await self._login(asked, ANY_TIME, login)
        return None if again.header == login.header else again

    # --- what is decided --------------------------------------------------------------------------

    def _decided(self, asked: Pull | Listing) -> tuple[Decisions[RightKey], RightKey] | None:
        """Give what an answer decides: a listing's says nothing of pulls."""
        if isinstance(asked, Catalog):
            return None
        is_pull = isinstance(asked, (ManifestPull, BlobPull))
        decisions = self._known.rights if is_pull else self._known.listings
        return decisions, (asked.caller, asked.repository, Action.PULL)

    def _note_grant(self, asked: Pull | Listing, login: _Login) -> None:
        if (decided := self._decided(asked)) is not None:
            decisions, right = decided
            decisions.grant(right, login.proven_at)
        if login.header and not self._realm.is_open:  # else whoever presents anything is let in
            self._known.logins.grant(asked.caller, login.proven_at)

    def _refusal(
        self, asked: Pull | Listing, login: _Login, answer: Answer, body: bytes
    ) -> RegistryError:
        """Give the error that a refusing answer stands for, and note what it ends."""
        error = error_of(answer.status, answer.headers, body, asked)
        decided = self._decided(asked)
        if decided is not None and isinstance(error, (Unauthorized, Denied)):
            decisions, right = decided
            decisions.refuse(right, error)
        if isinstance(error, Unauthorized):
            error.error = _word(login, answer)
        return error


def accept_of(pull: Pull) -> str:
    """Give what is accepted for a pull: every kind of manifest, since some registries convert."""
    return ACCEPT_ALL if isinstance(pull, ManifestPull) else "*/*"


def _repository(asked: Pull | Listing) -> Repository | None:
    return None if isinstance(asked, Catalog) else asked.repository


def _word(login: _Login, answer: Answer) -> str:
    """Give the token spec's word for what is wrong with what was presented."""
    if login.token:
        return "insufficient_scope"  # the login is good: its very own token was refused
    challenge = challenge_of(answer)
    if challenge is not None and challenge.error:
        return challenge.error
    return "invalid_token" if login.header else ""
