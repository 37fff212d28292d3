"""The primary instance: it comes from the settings, and stays for as long as replicas do."""

from sqlalchemy import Connection, delete

from hub.facts import put_fact, read_fact
from hub.instances import records
from hub.instances.errors import HasReplicas
from hub.instances.forms import Primary
from hub.schema import facts

FACT = "primary"


class PrimaryMoved(ValueError):
    """The settings name another primary, or another region, and there are replicas."""


def settle(connection: Connection, primary: Primary) -> None:
    """Make the primary instance that the settings name.

    Raises: PrimaryMoved: replicas are there that were made for another one, or are in its region.
    """
    alive = _alive(connection)
    before = read_fact(connection, FACT)
    if before not in (None, primary.id) and alive:
        raise PrimaryMoved(
            f"primary.id: {primary.id} isn't {before}, which has replicas, delete them first: "
            f"{', '.join(record.id for record in alive)}"
        )
    for record in alive:
        if record.region == primary.region:
            raise PrimaryMoved(f"primary.region: the replica {record.id} is in {primary.region}")
    put_fact(connection, FACT, primary.id)


def is_there(connection: Connection) -> bool:
    """Say whether the primary instance wasn't deleted."""
    return read_fact(connection, FACT) is not None


def remove(connection: Connection) -> None:
    """Delete the primary instance. Raises: HasReplicas."""
    if alive := _alive(connection):
        raise HasReplicas([record.id for record in alive])
    connection.execute(delete(facts).where(facts.c.name == FACT))


def _alive(connection: Connection) -> list[records.Record]:
    return [each for each in records.everything(connection) if each.life.deleted_at is None]
