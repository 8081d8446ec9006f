"""What is known of a percentile whose buckets are wide: its bounds, recorded, and how alerts write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_base.precision import bounds_of, precise
from perfloop_base.promql import split_quantile, without_series
from perfloop_rules.wording import DURATION, VALUE_TEMPLATES

if TYPE_CHECKING:
    from perfloop_base.thresholds import Signal, Thresholds

Rule = dict[str, Any]
P95 = ":p95_"
# They are only read by people, and each asks for the buckets three times.
INTERVAL = "30s"
# Two would do for a bucket a tenth wide; three keep 1.04 s from being written as its limit of 1 s.
_DIGITS = 'printf "%.3g" $value'


def recording_groups(thresholds: Thresholds) -> list[Rule]:
    """Return the group of the bounds of percentiles; none has a series while its buckets are fine."""
    rules: list[Rule] = []
    for signal in thresholds.signals:
        if not is_percentile(signal):
            continue
        routes = [one.labels for one in thresholds.overrides_of(signal.name) if one.route]
        split = split_quantile(without_series(signal.expr, routes))
        if split is not None:
            known = precise(*split)
            low, high = bounds_of(signal.record)
            rules += [{"record": low, "expr": known.low}, {"record": high, "expr": known.high}]
    return [{"name": "signals-precision", "interval": INTERVAL, "rules": rules}] if rules else []


def is_percentile(signal: Signal) -> bool:
    """Return whether the signal is a quantile of a histogram, and its series is named so."""
    return signal.unit == "seconds" and P95 in signal.record and split_quantile(signal.expr) is not None


def value_template(signal: Signal) -> str:
    """Return the template of a signal's value in an alert: of a percentile in a wide bucket, `500 ms to 1 s`."""
    value = VALUE_TEMPLATES[signal.unit]
    if not is_percentile(signal):
        return value
    which = ",".join(f"{label}=%q" for label in signal.by)
    labels = " ".join(f"$labels.{label}" for label in signal.by)
    low, high = (f'query (printf "{name}{{{which}}}" {labels})' for name in bounds_of(signal.record))
    written = {name: f"{{{{ (${name} | first).Value | {DURATION} }}}}" for name in ("low", "high")}
    return (
        f"{{{{ $low := {low} }}}}{{{{ $high := {high} }}}}"
        f"{{{{ if and $low $high }}}}{written['low']} to {written['high']}"
        f"{{{{ else if $low }}}}more than {written['low']}"
        f"{{{{ else if $high }}}}0 s to {written['high']}"
        f"{{{{ else }}}}{value.replace('$value', _DIGITS)}{{{{ end }}}}"
    )
