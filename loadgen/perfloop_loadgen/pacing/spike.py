"""Few users, suddenly many, few again: does the service survive, and does it come back?"""

from __future__ import annotations

from dataclasses import dataclass

from perfloop_loadgen.pacing.line import Stage, stage_at, value_at


@dataclass(frozen=True, slots=True)
class Spike:
    """`base` users, `peak` users from `after_seconds` for `spike_seconds`, `base` again until the end."""

    base: int
    peak: int
    after_seconds: float
    spike_seconds: float
    rise_seconds: float
    duration_seconds: float | None

    @property
    def most_users(self) -> int:
        """Return the peak."""
        return max(self.base, self.peak)

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return (
            Stage(self.base, self.after_seconds, "before"),
            Stage(self.peak, self.rise_seconds, "spike"),
            Stage(self.peak, self.spike_seconds, "spike"),
            Stage(self.base, self.rise_seconds, "recovery"),
            Stage(self.base, 1.0, "recovery"),
        )

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the users active."""
        return round(value_at(self.base, self._stages, elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name before, spike or recovery."""
        return stage_at(self._stages, elapsed_seconds)
