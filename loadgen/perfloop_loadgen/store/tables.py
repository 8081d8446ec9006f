"""The tables. Migrations in `migrations/` make them, and the view; a test holds them together."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LONGEST_TEXT = 200


class Base(DeclarativeBase):
    """All tables of load tests. Their names begin alike: a server's database may hold those of other programs too."""


class RunRow(Base):
    """One run: what lists show of it, and its document as JSON, compressed by zlib."""

    __tablename__ = "load_test_run"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    test: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    started: Mapped[float] = mapped_column(Float(53), index=True)
    duration_seconds: Mapped[float] = mapped_column(Float(53))
    profile: Mapped[str] = mapped_column(String(64))
    base_url: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    state: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    config_hash: Mapped[str] = mapped_column(String(64))
    revision: Mapped[str] = mapped_column(String(64))
    host: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    requests: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    rate: Mapped[float] = mapped_column(Float(53))
    p50_seconds: Mapped[float | None] = mapped_column(Float(53))
    p95_seconds: Mapped[float | None] = mapped_column(Float(53))
    p99_seconds: Mapped[float | None] = mapped_column(Float(53))
    # A list reads none of them.
    document: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)

    __table_args__ = (Index("ix_load_test_run_test_started", "test", "started"),)


class LabelRow(Base):
    """One label of a run."""

    __tablename__ = "load_test_label"

    run_id: Mapped[str] = mapped_column(ForeignKey("load_test_run.run_id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT), primary_key=True)
    value: Mapped[str] = mapped_column(String(LONGEST_TEXT))


class BaselineRow(Base):
    """One run of a baseline; a name has runs of each test that it is set for."""

    __tablename__ = "load_test_baseline"

    name: Mapped[str] = mapped_column(String(LONGEST_TEXT), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("load_test_run.run_id"), primary_key=True)
    test: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    position: Mapped[int] = mapped_column(BigInteger)
    set_at: Mapped[float] = mapped_column(Float(53))
