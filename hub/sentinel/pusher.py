"""The hub as a client of the primary: it pushes to one repository, with an identity of its own."""

from urllib.parse import quote, urljoin, urlsplit

from hub.login import Login, token_in, token_target
from hub.sentinel.contents import EMPTY, EMPTY_DIGEST, MANIFEST_TYPE, Content
from proxy.net.link import PrivateLink
from proxy.net.origins import TrustedOrigins
from proxy.net.session import Answer, Outgoing, Session
from proxy.oci.challenge import Challenge, Scheme, parse_challenges
from proxy.oci.errors import BadGateway
from proxy.oci.request import Action

TAG = "current"
MAX_ANSWER_BYTES = 64 << 10


class Pusher:
    """Pushes sentinels. An Authorization that worked is kept until it doesn't any more."""

    def __init__(
        self,
        link: PrivateLink,
        session: Session,
        realms: TrustedOrigins,
        repository: str,
        login: Login,
    ) -> None:
        self._link = link
        self._session = session
        self._realms = realms
        self._repository = repository
        self._login = login
        self._authorization = ""
        self._is_empty_there = False

    async def push(self, content: Content) -> None:
        """Push a content under the sentinel's tag.

        Raises: RegistryError: the primary can't be reached, refuses it, or leads elsewhere.
        """
        try:
            await self._push(content)
        except ValueError as exc:  # of a Location, a realm, a header that is none
            raise BadGateway("the primary's answer to the sentinel can't be followed") from exc

    async def _push(self, content: Content) -> None:
        if not self._is_empty_there:
            await self._push_empty()
            self._is_empty_there = True
        answer = await self._ask(
            "PUT",
            f"/v2/{self._repository}/manifests/{TAG}",
            {"Content-Type": MANIFEST_TYPE},
            content.body,
        )
        await answer.drop()
        if answer.status != 201:
            self._is_empty_there = False  # a primary that was emptied lacks that blob
            raise BadGateway(f"the primary answered {answer.status} to the sentinel's push")

    async def _push_empty(self) -> None:
        start = await self._ask("POST", f"/v2/{self._repository}/blobs/uploads/", {}, b"")
        await start.drop()
        if start.status != 202:
            raise BadGateway(f"the primary answered {start.status} to the sentinel's upload")
        target = self._upload_target(start.header("Location"))
        joint = "&" if "?" in target else "?"
        end = await self._ask(
            "PUT",
            f"{target}{joint}digest={quote(str(EMPTY_DIGEST))}",
            {"Content-Type": "application/octet-stream"},
            EMPTY,
        )
        await end.drop()
        if end.status != 201:
            raise BadGateway(f"the primary answered {end.status} to the sentinel's blob")

    def _upload_target(self, location: str) -> str:
        """Give path and query of an upload. Raises: BadGateway: it isn't at the primary."""
        own = self._link.origin
        parts = urlsplit(urljoin(f"{own}/v2/", location))
        is_there = parts.netloc.lower() == own.authority and parts.path.startswith("/v2/")
        if not location or not is_there:
            raise BadGateway("the primary's upload is at another place")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    # --- asking -----------------------------------------------------------------------------------

    async def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send a request, and once more with a fresh login where the primary wants one."""
        answer = await self._send(method, target, headers, body)
        if answer.status != 401:
            return answer
        challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
        await answer.drop()
        self._authorization = await self._log_in(challenges)
        return await self._send(method, target, headers, body)

    async def _send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        login = {"Authorization": self._authorization} if self._authorization else {}
        return await self._link.request(method, target, {**headers, **login}, body=body)

    async def _log_in(self, challenges: tuple[Challenge, ...]) -> str:
        if not self._login.username:
            raise BadGateway("the primary wants a login, and sentinel.username isn't set")
        for challenge in challenges:
            if challenge.scheme is Scheme.BEARER:
                return f"Bearer {await self._token(challenge)}"
        return self._login.as_basic()

    async def _token(self, challenge: Challenge) -> str:
        target = token_target(challenge, self._repository, Action.PUSH)
        origin = self._realms.check(challenge.realm)
        headers = {"Authorization": self._login.as_basic()}
        if origin == self._link.origin:
            answer = await self._link.request("GET", target, headers)
        else:
            answer = await self._session.send(origin, Outgoing("GET", target, headers))
        return token_in(answer.status, await answer.read(MAX_ANSWER_BYTES))
