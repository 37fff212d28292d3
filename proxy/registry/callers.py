"""What is remembered of callers: credentials, rights, accepted logins."""

from dataclasses import dataclass

from proxy.oci.caller import Caller
from proxy.oci.errors import Unauthorized
from proxy.oci.reference import Repository
from proxy.oci.request import Action
from proxy.registry.credentials import CredentialKeeper
from proxy.registry.decisions import Decisions

RightKey = tuple[Caller, Repository, Action]


@dataclass(frozen=True, slots=True)
class KnownCallers:
    """The memories of callers.

    `rights` says who may pull (and push); `listings` who was shown a repository's listings, apart
    from it, since some registries let callers list who may not pull.
    """

    keeper: CredentialKeeper
    rights: Decisions[RightKey]
    listings: Decisions[RightKey]
    logins: Decisions[Caller]

    def end_login(self, caller: Caller, error: Unauthorized) -> None:
        """A credential isn't accepted (any more): all that it was granted ends.

        Rights are looked through only for callers that were accepted before, so that strangers'
        bad logins cost nothing.
        """
        if self.logins.has_been_granted(caller):
            self.rights.end_where(lambda key: key[0] == caller)
            self.listings.end_where(lambda key: key[0] == caller)
        self.logins.refuse(caller, error)
        self.keeper.forget(caller)
