"""How limits and values are written in an alert."""

from __future__ import annotations

from perfloop_base.quantities import quantity

# Prometheus's own functions write 480ms, 16.2% and 50M; people read 480 ms, 16.2 % and 50 MB/s.
DURATION = 'humanizeDuration | reReplaceAll "([0-9])([a-z])" "$1 $2"'
PERCENTAGE = 'humanizePercentage | reReplaceAll "%" " %"'
VALUE_TEMPLATES = {
    "seconds": f"{{{{ $value | {DURATION} }}}}",
    "ratio": f'{{{{ printf "%.3g" $value | {PERCENTAGE} }}}}',
    "bytes_per_second": '{{ $value | humanize | reReplaceAll "([a-zA-Z]*)$" " ${1}B/s" }}',
    "number": "{{ $value | humanize }}",
}
RUNBOOK = "{{ $externalURL }}/user/runbook.html"
_STATISTICS = {", 95th percentile": " p95", ", mean": " mean"}


def format_limit(value: float, unit: str) -> str:
    """Return a limit with its unit: 200 ms, 5 %, 50 MB/s; all digits that somebody wrote."""
    return quantity(value, unit, digits=12).replace("%", " %").replace("  %", " %")


def name_in_a_sentence(title: str) -> str:
    """Return a signal's title as a sentence has it: `Database query time p95 at 504 ms`."""
    for long, short in _STATISTICS.items():
        title = title.replace(long, short)
    return title


def runbook_url(alert: str) -> str:
    """Return the address of an alert's section in the runbook that Prometheus serves."""
    return f"{RUNBOOK}#{alert}"
