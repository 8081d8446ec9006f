"""How Alembic reaches the database: over the connection that the store hands it."""

from __future__ import annotations

from alembic import context

from perfloop_loadgen.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    version_table=context.config.attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()
