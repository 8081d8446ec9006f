"""Upgrades a database to the newest schema; two programs that start together on a server take turns.

Alembic is imported for a database that lacks something. One that has everything is only asked for its revision: no
writer is in the way, and short commands do not wait for Alembic, whose import takes longer than all else that they do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, inspect, select, text

from perfloop_base.database.faults import MigrationError
from perfloop_base.errors import NewerStoreError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection, Engine

_STEP = re.compile(r"v(?P<revision>[0-9]+)_\w+\.py")


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a program.

    Attributes:
        migrations: the directory of Alembic's migrations, `env.py` included. Each step is a file that is named after
            its revision, `v0002_what.py`, and they follow one another in the order of their numbers.
        lock: a key of PostgreSQL's advisory locks, another one for each program.
        versions: the table in which Alembic notes the revision, one for each program: they may share a database.
    """

    migrations: Path
    lock: int
    versions: str = "alembic_version"

    def revisions(self) -> list[str]:
        """Return every revision that this version knows, the newest last."""
        names = (_STEP.fullmatch(path.name) for path in (self.migrations / "versions").iterdir())
        return sorted(name["revision"] for name in names if name)

    def revision(self, connection: Connection) -> str | None:
        """Return the revision of a database; None of one without the program's tables."""
        if not inspect(connection).has_table(self.versions):
            return None
        table = Table(self.versions, MetaData(), Column("version_num", String(32)))
        return connection.scalar(select(table.c.version_num))


def upgrade(engine: Engine, schema: Schema) -> None:
    """Run the migrations that are missing.

    Raises:
        NewerStoreError: a newer version wrote the database.
        MigrationError: a step cannot be made.
    """
    with engine.connect() as connection:
        if schema.revision(connection) == schema.revisions()[-1]:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({schema.lock})"))
        current = schema.revision(connection)
        if current is not None and current not in schema.revisions():
            raise NewerStoreError(
                f"the database is at revision {current}, which this version does not know: use a newer Perfloop"
            )
        _migrate(schema, connection)


def _migrate(schema: Schema, connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(schema.migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = schema.versions
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error
