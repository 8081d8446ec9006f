"""How long a value must be beyond a limit until the alert of that limit fires: the `for` of thresholds.yml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.findings import Severity
from perfloop_base.durations import parse_duration
from perfloop_base.thresholds import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_base.thresholds import Thresholds


def read_holds(catalog: Sequence[Signal], thresholds: Thresholds | None) -> Callable[[Finding, Severity], float]:
    """Return how many seconds a finding must stand at a severity; without an entry of its own a minute.

    The windows of a burn rate are its wait.
    """
    table = {signal.name: signal for signal in catalog}
    entries = {entry.name: entry for entry in thresholds.signals} if thresholds else {}
    alerts = thresholds.alerts if thresholds else {}

    def hold(finding: Finding, severity: Severity) -> float:
        if finding.detector == "burn":
            return 0.0
        signal = table.get(finding.signal)
        # The signal of a route with limits of its own has its name after an @.
        name = (signal.threshold if signal else None) or finding.signal.partition("@")[0]
        if name in entries:
            holds = entries[name].holds
            return parse_duration(holds["critical" if severity is Severity.CRITICAL else "warning"])
        alert = alerts.get(signal.alert or "") if signal else None
        return parse_duration(alert.hold if alert else DEFAULT_HOLD)

    return hold
