"""Whether a caller may push, where nothing has shown it yet.

Some registries answer nothing before they have the body, whatever they think of the caller
(docker-registry does, where its handler refuses without reading). So that no stranger's body is
taken, the right is shown by the one write that leaves nothing behind: an upload session that is
begun and cancelled at once.
"""

from contextlib import suppress
from urllib.parse import urlsplit

from proxy.net.link import PrivateLink
from proxy.net.session import Answer
from proxy.oci.errors import Denied, RegistryError, Unauthorized, Unavailable
from proxy.oci.reference import Repository
from proxy.oci.request import Action, UploadStart
from proxy.registry.access import Presented
from proxy.registry.callers import RightKey
from proxy.registry.decisions import Decisions
from proxy.registry.realm import Realm, challenge_of

ANYWHERE = Repository("")
"""Stands for the repository of upload sessions whose path doesn't name one."""


class PushRights:
    """Rights to push, as the primary's answers show them."""

    def __init__(self, link: PrivateLink, rights: Decisions[RightKey], realm: Realm) -> None:
        self._link = link
        self._rights = rights
        self._realm = realm

    def note(self, presented: Presented, repository: Repository | None, status: int) -> None:
        """Note what an answer of the primary to a write shows."""
        for where in (repository or ANYWHERE, ANYWHERE):
            key = (presented.caller, where, Action.PUSH)
            if status < 300:
                self._rights.grant(key)
            elif status in (401, 403) and where == (repository or ANYWHERE):
                self._rights.refuse(key, Denied())

    async def refusal(self, presented: Presented, answer: Answer) -> Unauthorized:
        """Give the error that a 401 to a write stands for, and learn how the primary challenges:
        it may let everybody read, so that it never did before.
        """
        challenge = challenge_of(answer)
        if challenge is not None:
            await self._realm.learn(challenge)
        told = challenge.error if challenge is not None else ""
        return Unauthorized(error=told or ("insufficient_scope" if presented.authorization else ""))

    async def require(self, presented: Presented, repository: Repository | None) -> None:
        """Return if this caller may push, asking the primary if nothing shows it.

        Raises: Unauthorized, Denied: it may not. Unavailable: that can't be found out.
        """
        if self._rights.is_granted((presented.caller, repository or ANYWHERE, Action.PUSH)):
            return
        if repository is None:
            raise Unavailable("the primary doesn't take the upload")
        answer = await self._begin(presented, repository)
        self.note(presented, repository, answer.status)
        match answer.status:
            case 202:
                await self._cancel(presented, answer)
            case 401:
                raise await self.refusal(presented, answer)
            case 403:
                raise Denied
            case _:
                raise Unavailable("the primary doesn't take the upload")

    async def _begin(self, presented: Presented, repository: Repository) -> Answer:
        headers = {**presented.headers, "Content-Length": "0"}
        answer = await self._link.request("POST", UploadStart(repository).path, headers)
        await answer.drop()
        return answer

    async def _cancel(self, presented: Presented, answer: Answer) -> None:
        location = urlsplit(answer.header("Location"))
        if not location.path.startswith("/v2/"):
            return  # such a session ends by itself
        target = f"{location.path}?{location.query}" if location.query else location.path
        with suppress(RegistryError):
            cancelled = await self._link.request("DELETE", target, presented.headers)
            await cancelled.drop()
