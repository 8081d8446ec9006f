"""How limits and values are written in an alert, and the templates that ask for its cause and its remedy."""

from __future__ import annotations

from perfloop_base.quantities import quantity

# Prometheus's own functions write 480ms and 50M; people read 480 ms and 50 MB/s, as in the limits beside them.
DURATION = 'humanizeDuration | reReplaceAll "([0-9])([a-z])" "$1 $2"'
VALUE_TEMPLATES = {
    "seconds": f"{{{{ $value | {DURATION} }}}}",
    "ratio": "{{ $value | humanizePercentage }}",
    "bytes_per_second": '{{ $value | humanize | reReplaceAll "([a-zA-Z]*)$" " ${1}B/s" }}',
    "number": "{{ $value | humanize }}",
}
RUNBOOK = "{{ $externalURL }}/user/runbook.html"

# The analyzer's answer, where it has one by now; an empty annotation is left out of the message.
CAUSE = (
    '{{ range query (printf "topk(1, perfloop_root_cause_score{service=%q})" $labels.service) }}'
    '{{ .Labels.resource }} (score {{ .Value | printf "%.2f" }})'
    '{{ else }}{{ range query (printf "topk(1, perfloop_bottleneck{service=%q})" $labels.service) }}'
    "{{ .Labels.resource }}{{ end }}{{ end }}"
)
_OPEN = 'perfloop_recommendation_info{service=%q,state="open"'
_GAIN = "on (id) group_left () perfloop_recommendation_expected_improvement_ratio"


def recommendation_template(component: str) -> str:
    """Return the template of the best open recommendation: one about the alert's component first, then by its gain."""
    about, any_ = f'{_OPEN},category="{component}"}}', f"{_OPEN}}}"
    ranked = f"topk(1, {about} * {_GAIN} + 2 or {about} * 0 + 2 or {any_} * {_GAIN} or {any_} * 0)"
    query = ranked.replace('"', '\\"')
    services = " $labels.service" * ranked.count("%q")
    return f'{{{{ range query (printf "{query}"{services}) }}}}{{{{ .Labels.title }}}}{{{{ end }}}}'


def format_limit(value: float, unit: str) -> str:
    """Return a limit with its unit: 200 ms, 5%, 50 MB/s; all digits that somebody wrote."""
    return quantity(value, unit, digits=12)


def runbook_url(alert: str) -> str:
    """Return the address of an alert's section in the runbook that Prometheus serves."""
    return f"{RUNBOOK}#{alert}"
