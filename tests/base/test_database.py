"""What databases have in common: the revision that is known without Alembic is Alembic's own."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from perfloop_analyzer.store.database import SCHEMA as ANALYZER
from perfloop_base.database.connection import Connection
from perfloop_base.errors import StoreError
from perfloop_loadgen.store.runs import SCHEMA as LOADGEN

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_base.database.upgrade import Schema

SCHEMAS = pytest.mark.parametrize("schema", [ANALYZER, LOADGEN], ids=["analyzer", "loadgen"])
OPEN = """
import sys
from pathlib import Path
from perfloop_base.database.connection import Connection
from perfloop_base.database.upgrade import Schema
Connection(sys.argv[1], Schema(Path(sys.argv[2]), 1, sys.argv[3])).close()
print("alembic" in sys.modules)
"""


@SCHEMAS
def test_the_steps_are_named_after_their_revisions(schema: Schema):
    """Each file, in order, and the last one is the head."""
    config = Config()
    config.set_main_option("script_location", str(schema.migrations))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = [revision.revision for revision in scripts.walk_revisions()]
    assert schema.revisions() == known[::-1]
    assert schema.revisions()[-1] == scripts.get_current_head()


@SCHEMAS
def test_a_database_that_has_everything_is_opened_without_alembic(schema: Schema, tmp_path: Path):
    """The second time: its import takes longer than a short command."""
    arguments = [f"sqlite:///{tmp_path / '100% mine.db'}", str(schema.migrations), schema.versions]
    opened = [
        subprocess.run([sys.executable, "-c", OPEN, *arguments], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert opened == ["True\n", "False\n"]


def test_two_programs_may_share_a_database(tmp_path: Path):
    """Each has a table of its own for its revision."""
    url = f"sqlite:///{tmp_path / 'both.db'}"
    for schema in (ANALYZER, LOADGEN, ANALYZER, LOADGEN):
        Connection(url, schema).close()
    with closing(sqlite3.connect(tmp_path / "both.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"alembic_version", "load_test_version", "recommendation", "load_test_run"} <= names


def test_a_step_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Alembic's own errors are those of the database."""
    from alembic import command
    from alembic.util import CommandError

    def refuse(*_: object) -> None:
        raise CommandError("no such step")

    monkeypatch.setattr(command, "upgrade", refuse)
    with pytest.raises(StoreError, match=r"both\.db failed: no such step"):
        Connection(f"sqlite:///{tmp_path / 'both.db'}", LOADGEN)
