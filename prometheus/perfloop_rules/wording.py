"""How limits and values are said in a message that somebody reads at night."""

from __future__ import annotations

VALUE_TEMPLATES = {
    "seconds": "{{ $value | humanizeDuration }}",
    "ratio": "{{ $value | humanizePercentage }}",
    "bytes_per_second": "{{ $value | humanize }}B/s",
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


def ask_recommendation(component: str) -> str:
    """Return the template of the best open recommendation: one about the alert's component first, then by its gain."""
    about, any_ = f'{_OPEN},category="{component}"}}', f"{_OPEN}}}"
    ranked = f"topk(1, {about} * {_GAIN} + 2 or {about} * 0 + 2 or {any_} * {_GAIN} or {any_} * 0)"
    question = ranked.replace('"', '\\"')
    services = " $labels.service" * ranked.count("%q")
    return f'{{{{ range query (printf "{question}"{services}) }}}}{{{{ .Labels.title }}}}{{{{ end }}}}'


def say_limit(value: float, unit: str) -> str:
    """Return a limit in the unit people say it in: 200 ms, 5 %, 50 MB/s."""
    if unit == "ratio":
        return f"{value * 100:g} %"
    if unit == "bytes_per_second":
        return f"{value / 1e6:g} MB/s"
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"


def runbook_url(alert: str) -> str:
    """Return the address of an alert's section in the runbook that Prometheus serves."""
    return f"{RUNBOOK}#{alert}"
