"""Ids that are URL-safe whatever the labels, and how long a finding was watched for and not seen."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from perfloop_analyzer.identifiers import IDENTIFIER, slug

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DIGEST = 6  # hexadecimal digits at the end of an id


def upgrade() -> None:
    """Add the column, and rename what a URL could not name; what was done before a kill is not done again."""
    connection = op.get_bind()
    if "absent" not in {column["name"] for column in sa.inspect(connection).get_columns("recommendation")}:
        op.add_column("recommendation", sa.Column("absent", sa.Float, nullable=False, server_default="0"))
    rows = connection.execute(sa.text("SELECT id, body FROM recommendation")).all()
    known = {identifier for identifier, _ in rows}
    for old, stored in rows:
        body = json.loads(stored) if isinstance(stored, str) else stored
        new = _renamed(old, body)
        if new is not None and new not in known:
            _rename(connection, old, new, body)


def _renamed(old: str, body: Any) -> str | None:
    """Return the new id; None where the old one stays."""
    if not isinstance(body, dict) or not isinstance(body.get("service"), str):
        return None
    if IDENTIFIER.fullmatch(old) and slug(body["service"]) == body["service"]:
        return None
    return f"{slug(str(body.get('rule', 'rule')).replace('_', '-'))}-{slug(body['service'])}-{old[-DIGEST:]}"


def _rename(connection: sa.Connection, old: str, new: str, body: dict[str, Any]) -> None:
    names = {"old": old, "new": new, "body": json.dumps(body | {"id": new})}
    cast = "CAST(:body AS JSON)" if connection.dialect.name == "postgresql" else ":body"
    columns = "state, created, updated, seen, absent"
    copied = f"INSERT INTO recommendation (id, {columns}, body) SELECT :new, {columns}, {cast} FROM recommendation"  # noqa: S608 - no text from outside
    # The steps refer to the row: the new one comes first, the old one goes last.
    for statement in (
        f"{copied} WHERE id = :old",
        "UPDATE recommendation_event SET recommendation = :new WHERE recommendation = :old",
        "DELETE FROM recommendation WHERE id = :old",
    ):
        needed = {name: value for name, value in names.items() if f":{name}" in statement}
        connection.execute(sa.text(statement), needed)


def downgrade() -> None:
    """Drop the column; the ids stay."""
    op.drop_column("recommendation", "absent")
