"""What operators say about regions, in the database: works on a connection."""

from dataclasses import dataclass
from ipaddress import ip_network

from sqlalchemy import Connection, delete, func, insert, select

from geo.catalogue import Network
from hub.errors import NotFound
from hub.geo.errors import MAX_NETWORKS, AlreadyLinked, TooManyNetworks
from hub.geo.tables import drained_regions, linked_networks


@dataclass(frozen=True, slots=True)
class Linked:
    """A network linked to a region."""

    region: str
    network: Network
    linked_at: float


@dataclass(frozen=True, slots=True)
class Said:
    """All that operators have said."""

    linked: tuple[Linked, ...] = ()
    drained: frozenset[str] = frozenset()


def everything(connection: Connection) -> Said:
    """Give all of it, networks in the order in which they were linked."""
    columns = linked_networks.c
    rows = connection.execute(
        select(linked_networks).order_by(columns.region, columns.linked_at, columns.network)
    )
    linked = tuple(Linked(row.region, ip_network(row.network), row.linked_at) for row in rows)
    drained = connection.execute(select(drained_regions.c.region)).scalars()
    return Said(linked, frozenset(drained))


def link(connection: Connection, wanted: Linked) -> Said:
    """Link a network. Raises: AlreadyLinked, TooManyNetworks."""
    columns, text = linked_networks.c, str(wanted.network)
    same = (columns.region == wanted.region) & (columns.network == text)
    if connection.execute(select(columns.network).where(same)).first() is not None:
        raise AlreadyLinked(f"{text} is linked to {wanted.region} already")
    number = connection.execute(select(func.count()).select_from(linked_networks)).scalar_one()
    if number >= MAX_NETWORKS:
        raise TooManyNetworks
    row = {"region": wanted.region, "network": text, "linked_at": wanted.linked_at}
    connection.execute(insert(linked_networks), row)
    return everything(connection)


def unlink(connection: Connection, region: str, network: Network) -> Said:
    """Take a network away. Raises: NotFound: it isn't linked."""
    columns = linked_networks.c
    same = (columns.region == region) & (columns.network == str(network))
    if connection.execute(delete(linked_networks).where(same)).rowcount == 0:
        raise NotFound(f"{network} isn't linked to {region}")
    return everything(connection)


def drain(connection: Connection, region: str, now: float) -> Said:
    """Let a region have no new clients; what was said first counts."""
    found = select(drained_regions).where(drained_regions.c.region == region)
    if connection.execute(found).first() is None:
        connection.execute(insert(drained_regions), {"region": region, "drained_at": now})
    return everything(connection)


def resume(connection: Connection, region: str) -> Said:
    """Let a region have clients again."""
    connection.execute(delete(drained_regions).where(drained_regions.c.region == region))
    return everything(connection)
