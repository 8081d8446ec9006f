"""Upgrades a database to the newest schema; two programs that start together on a server take turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from perfloop_base.errors import NewerStoreError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection, Engine


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a program.

    Attributes:
        migrations: the directory of Alembic's migrations, `env.py` included.
        lock: a key of PostgreSQL's advisory locks, another one for each program.
        versions: the table in which Alembic notes the revision, one for each program: they may share a database.
    """

    migrations: Path
    lock: int
    versions: str = "alembic_version"

    def revision(self, connection: Connection) -> str | None:
        """Return the revision of a database; None of one without the program's tables."""
        options = {"version_table": self.versions}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


def upgrade(engine: Engine, schema: Schema) -> None:
    """Run the migrations that are missing; a database that has them all is only read: no writer is in the way.

    Raises:
        NewerStoreError: a newer version wrote the database.
    """
    config = Config()
    config.set_main_option("script_location", str(schema.migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        newest = ScriptDirectory.from_config(config).get_current_head()
        if schema.revision(connection) == newest:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({schema.lock})"))
        _refuse_newer(config, schema, connection)
        config.attributes["connection"] = connection
        config.attributes["version_table"] = schema.versions
        command.upgrade(config, "head")


def _refuse_newer(config: Config, schema: Schema, connection: Connection) -> None:
    current = schema.revision(connection)
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise NewerStoreError(
            f"the database is at revision {current}, which this version does not know: use a newer Perfloop"
        )
