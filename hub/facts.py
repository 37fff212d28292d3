"""Single facts that the hub keeps: a name and a text."""

from sqlalchemy import Connection, delete, insert, select

from hub.schema import facts


def read_fact(connection: Connection, name: str) -> str | None:
    """Give what is kept under a name."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def put_fact(connection: Connection, name: str, value: str) -> None:
    """Keep a text under a name, instead of what was there."""
    connection.execute(delete(facts).where(facts.c.name == name))
    connection.execute(insert(facts), {"name": name, "value": value})
