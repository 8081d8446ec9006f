"""The tables. Migrations in `migrations/` make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import JSON, Float, ForeignKey, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of the analyzer."""


class RecommendationRow(Base):
    """One recommendation; `body` is its JSON form without the state.

    `absent` counts the seconds that the analyzer watched without seeing its finding; no change of a clock adds to it.
    """

    __tablename__ = "recommendation"

    id: Mapped[str] = mapped_column(String(160), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    created: Mapped[float] = mapped_column(Float)
    updated: Mapped[float] = mapped_column(Float)
    seen: Mapped[float] = mapped_column(Float, index=True)
    absent: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    body: Mapped[dict[str, object]] = mapped_column(JSON)


class EventRow(Base):
    """One step in the life of a recommendation."""

    __tablename__ = "recommendation_event"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    recommendation: Mapped[str] = mapped_column(ForeignKey("recommendation.id"), index=True)
    at: Mapped[float] = mapped_column(Float)
    step: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))


class FindingRow(Base):
    """One finding, from the first cycle that saw it to the last."""

    __tablename__ = "finding"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(64))
    service: Mapped[str] = mapped_column(String(120))
    signal: Mapped[str] = mapped_column(String(120))
    detector: Mapped[str] = mapped_column(String(32))
    first_seen: Mapped[float] = mapped_column(Float)
    last_seen: Mapped[float] = mapped_column(Float, index=True)
    body: Mapped[dict[str, object]] = mapped_column(JSON)

    __table_args__ = (Index("ix_finding_key_last", "key", "last_seen"),)


class BaselineRow(Base):
    """What a series usually does: its seasonal profile, packed."""

    __tablename__ = "baseline"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    signal: Mapped[str] = mapped_column(String(120))
    updated: Mapped[float] = mapped_column(Float)
    body: Mapped[dict[str, object]] = mapped_column(JSON)
