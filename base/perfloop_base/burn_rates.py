"""The pairs of windows over which an error budget is judged, and how fast it may burn in them.

Google, "The Site Reliability Workbook" (2018), chapter 5 "Alerting on SLOs", section 6 "Multiwindow, Multi-Burn-Rate
Alerts": factor = share of the budget consumed x period / long window, for a period of 30 days. Both windows must burn:
the long one keeps a blip from alerting, the short one, a twelfth of it, ends the alert soon after the fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perfloop_base.durations import parse_duration

PERIOD = "30d"
PERIOD_SECONDS = parse_duration(PERIOD)


@dataclass(frozen=True, slots=True)
class BurnRate:
    """One row of the table.

    Attributes:
        severity: critical pages somebody; a warning is a ticket.
        long, short: the windows, as PromQL writes durations.
        consumed: the share of the period's budget that may go in the long window.
    """

    severity: Literal["critical", "warning"]
    long: str
    short: str
    consumed: float

    @property
    def factor(self) -> float:
        """How many times faster than allowed the budget burns: 14.4, 6, 3 and 1."""
        return round(self.consumed * PERIOD_SECONDS / parse_duration(self.long), 6)


# The most urgent row first. Pages: 2 % of the budget in an hour, 5 % in six; tickets: 10 % in a day, 10 % in three.
BURN_RATES = (
    BurnRate("critical", "1h", "5m", 0.02),
    BurnRate("critical", "6h", "30m", 0.05),
    BurnRate("warning", "1d", "2h", 0.10),
    BurnRate("warning", "3d", "6h", 0.10),
)
# Every window of the table, the shortest first.
WINDOWS = tuple(sorted({window for row in BURN_RATES for window in (row.long, row.short)}, key=parse_duration))
