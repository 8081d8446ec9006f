"""The tables of the database."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, String, Table, Text, func

metadata = MetaData()

documents = Table(
    "documents",
    metadata,
    Column("id", Integer, primary_key=True),
    # SHA-256 of the content: unique, so that concurrent requests with one text store it once.
    Column("digest", String(64), nullable=False, unique=True),
    Column("title", String(200), nullable=False),
    Column("content", Text, nullable=False),
    Column("words", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("created_at", DateTime, nullable=False, server_default=func.now()),
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("format", String(20), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False, server_default=func.now()),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("goal", Text, nullable=False),
    Column("created_at", DateTime, nullable=False, server_default=func.now()),
)
