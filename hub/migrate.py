"""The schema's way from one version to the next: Alembic, run at the start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).with_name("migrations")


class SchemaTooNew(Exception):
    """The database was written by a newer version of this program."""


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, each step in a transaction.

    Raises: SchemaTooNew: it is of a version that isn't known here; nothing has changed.
    """
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with connection.begin():
        found = set(MigrationContext.configure(connection).get_current_heads())
    if not found <= known:
        unknown = ", ".join(sorted(found - known))
        raise SchemaTooNew(f"the database has schema {unknown}, which this version doesn't know")
    command.upgrade(config, "head")
    connection.commit()  # Alembic looks where the schema is outside of the steps' transactions
