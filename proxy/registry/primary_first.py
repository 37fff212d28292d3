"""What the primary says of a content now, rather than what is linked here.

A push asks so which of its parts it has to send. A link outlives what the primary collected without
telling anybody, and a push that leaves out what it is told to be there fails at the end. So the
primary answers, to the caller's own credential, and the replica only where it can't be asked.
"""

from proxy.oci.errors import BadGateway, Unavailable
from proxy.oci.request import Pull
from proxy.registry.primary import Primary
from proxy.registry.puller import Puller, Resolution


class PrimaryFirst:
    """Resolves at the primary, in its outages by *inner*."""

    def __init__(self, primary: Primary, inner: Puller) -> None:
        self._primary = primary
        self._inner = inner

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to; see `Puller.resolve`."""
        try:
            return await self._primary.resolve(pull)
        except (Unavailable, BadGateway):
            return await self._inner.resolve(pull)
