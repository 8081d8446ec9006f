"""Upgrades a database to the newest schema; two analyzers that start together take turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from perfloop_analyzer.errors import NewerStoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

LOCK = 715_001  # an arbitrary key of PostgreSQL's advisory locks


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing; a database that has them all is only read: no writer is in the way."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        newest = ScriptDirectory.from_config(config).get_current_head()
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        _refuse_newer(config, connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(config: Config, connection: Connection) -> None:
    """Raise a NewerStoreError for a database that a newer Perfloop wrote."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise NewerStoreError(
            f"the database is at revision {current}, which this version does not know: use a newer Perfloop"
        )
