"""The tables. Migrations in `migrations/` make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text
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


class EpisodeRow(Base):
    """Since when a series is unusual or beyond a limit, for as long as it is."""

    __tablename__ = "episode"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    began: Mapped[float] = mapped_column(Float)
    seen: Mapped[float] = mapped_column(Float)
    expected: Mapped[float | None] = mapped_column(Float)
    deviation: Mapped[float] = mapped_column(Float)


class IncidentRow(Base):
    """An incident that stands; `members` are the keys of its series and components."""

    __tablename__ = "incident"

    id: Mapped[str] = mapped_column(String(160), primary_key=True)
    started: Mapped[float] = mapped_column(Float)
    seen: Mapped[float] = mapped_column(Float)
    members: Mapped[list[str]] = mapped_column(JSON)


class MomentRow(Base):
    """When something of a name was last done."""

    __tablename__ = "moment"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[float] = mapped_column(Float)


class ChangeRow(Base):
    """What was changed, by whatever means."""

    __tablename__ = "recorded_change"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float] = mapped_column(Float, index=True)
    service: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(200))


class BaselineRow(Base):
    """What a series usually does: its seasonal profile, packed."""

    __tablename__ = "baseline"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    signal: Mapped[str] = mapped_column(String(120))
    updated: Mapped[float] = mapped_column(Float)
    body: Mapped[dict[str, object]] = mapped_column(JSON)


class ReportRow(Base):
    """One report that was due; its id is made of its name and that moment, so that nobody makes it twice.

    Attributes:
        state: `making`, `sent` or `failed`.
        owner: Who makes it; nobody else may until `lease`.
        lease: Until when, in Unix seconds.
        retry: When it may be tried again after a failure.
        delivered: When each channel took it.
        title, body, markdown, document: The report, `body` in HTML; empty before it is made.
    """

    __tablename__ = "report"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    due: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64))
    lease: Mapped[float] = mapped_column(Float)
    retry: Mapped[float] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer)
    finished: Mapped[float | None] = mapped_column(Float)
    problem: Mapped[str] = mapped_column(String(500))
    delivered: Mapped[dict[str, float]] = mapped_column(JSON)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text, deferred=True)
    markdown: Mapped[str] = mapped_column(Text, deferred=True)
    document: Mapped[dict[str, object]] = mapped_column(JSON, deferred=True)


class ReportScheduleRow(Base):
    """Since when a report has the schedule that it has: what was due before is not made up."""

    __tablename__ = "report_schedule"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    schedule: Mapped[str] = mapped_column(String(300))
    since: Mapped[float] = mapped_column(Float)


class CostBaselineRow(Base):
    """What everything cost in an hour at `at`, the first moment from `since` on at which that was known."""

    __tablename__ = "cost_baseline"

    since: Mapped[float] = mapped_column(Float, primary_key=True, autoincrement=False)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    at: Mapped[float] = mapped_column(Float)
    per_hour: Mapped[float] = mapped_column(Float)


class LeaseRow(Base):
    """Which analyzer publishes; see `perfloop_analyzer.lease` for what the columns mean."""

    __tablename__ = "analyzer_lease"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease: Mapped[str] = mapped_column(String(16))
    holder: Mapped[str] = mapped_column(String(64))
    term: Mapped[int] = mapped_column(Integer)
    beat: Mapped[int] = mapped_column(BigInteger)
    process: Mapped[str] = mapped_column(String(200))
    place: Mapped[str] = mapped_column(String(200))


class MemberRow(Base):
    """An analyzer that waits for the lease."""

    __tablename__ = "analyzer_member"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    process: Mapped[str] = mapped_column(String(200))
    place: Mapped[str] = mapped_column(String(200))
    beat: Mapped[int] = mapped_column(BigInteger)
