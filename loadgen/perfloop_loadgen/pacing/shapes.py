"""What a load shape must answer; the shapes stand one in each file beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator


@runtime_checkable
class UserShape(Protocol):
    """The closed model: so many users at each moment, each waiting for its answer before it asks again."""

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the shape lasts, or None for ever."""

    @property
    def most_users(self) -> int:
        """Return the largest number of users that the shape ever asks for."""

    def users_at(self, elapsed_seconds: float) -> int:
        """Return how many users are active."""

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the shape, for annotations and reports."""


@runtime_checkable
class RateShape(Protocol):
    """The open model: requests start on a schedule that does not wait for answers."""

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the shape lasts, or None for ever."""

    def rate_at(self, elapsed_seconds: float) -> float:
        """Return the requests per second that are asked for."""

    def starts(self) -> Iterator[float]:
        """Yield the second, counted from the beginning, at which each request is due; never descending."""

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the shape, for annotations and reports."""
