"""Whether samples reach the store that Prometheus writes to: asked of Prometheus, one sentence for each trouble.

It is Prometheus that knows: a store that refuses samples answers queries as if nothing had happened.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import httpx

from perfloop_base.promql import quote
from perfloop_base.quantities import span
from perfloop_base.redaction import redact
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ANSWER_SECONDS = 2.0
_LATE_SECONDS = 60.0  # the warning of RemoteWriteBehind
_LOST_SECONDS = 7200.0  # what the write-ahead log holds, more or less
_LONGEST_REASON = 200
_BY = "by (instance, remote_name)"
_SENDING = "prometheus_remote_storage_samples"
_SENT = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
_AGE = (
    f"max {_BY} (prometheus_remote_storage_highest_timestamp_in_seconds"
    f" - on (service, instance) group_right () ({_SENT} > 0))"
)
# One question for all: what is asked is a label of its answer.
_QUESTIONS = {
    "age": _AGE,
    "never": f"(max {_BY} ({_SENT}) == 0) and on (instance) time() - process_start_time_seconds > 60",
    "retried": f"sum {_BY} (rate({_SENDING}_retried_total[1m])) > 0",
    "refused": f"sum {_BY} (increase({_SENDING}_failed_total[1h])) > 0",
    "dropped": f'sum {_BY} (increase({_SENDING}_dropped_total{{reason!="dropped_series"}}[1h])) > 0',
    "ignored": "sum by (instance, reason) (increase(vm_rows_ignored_total[1h])) > 0",
    "cut": "sum by (instance) (increase(vm_metrics_with_dropped_labels_total[1h])) > 0",
    "full": "max by (instance) (vm_storage_is_read_only) > 0",
}
QUERY = " or ".join(f'label_replace({expr}, "asked", {quote(name)}, "", "")' for name, expr in _QUESTIONS.items())
_REFUSAL = re.compile(r'non-recoverable error.*?\berr="((?:[^"\\]|\\.)*)"')
# VictoriaMetrics says first who sent what where, which the sentence has already.
_WHO_ASKED = re.compile(r'remoteAddr: "[^"]*"; (?:X-Forwarded-For: "[^"]*"; )?requestURI: \S+; ')
_RETRY = re.compile(r'Failed to send batch, retrying.*?\berr="((?:[^"\\]|\\.)*)"')


class Fact(NamedTuple):
    """One series of the answer: what was asked, its labels, and its value."""

    asked: str
    labels: dict[str, str]
    value: float

    @property
    def way(self) -> str:
        """From which Prometheus to which store, or the store's own part."""
        store = self.labels.get("remote_name")
        return f"{self.labels.get('instance', '')} → {store}" if store else self.labels.get("instance", "")


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What Prometheus says about the stores that it writes to.

    Attributes:
        facts: None where it writes to none, or does not answer.
        troubles: one sentence for each thing that is wrong.
        summary: one sentence for when nothing is.
    """

    facts: Sequence[Fact] | None
    troubles: Sequence[str]
    summary: str = ""


def find_reason(log: str) -> str:
    """Return the last reason that a log of Prometheus gives for samples that it could not deliver, or nothing."""
    refused, retried = _REFUSAL.findall(log), _RETRY.findall(log)
    found = (refused or retried or [""])[-1].replace('\\"', '"').replace("\\n", " ")
    found = _WHO_ASKED.sub("", found)
    reason = visible(redact(" ".join(found.split())))
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def read_facts(prometheus_url: str) -> list[Fact] | None:
    """Return what Prometheus answers; None where it does not, nothing where it writes to no store."""
    try:
        answer = httpx.post(
            f"{prometheus_url}/api/v1/query", data={"query": QUERY}, timeout=_ANSWER_SECONDS, trust_env=False
        )
        found = answer.raise_for_status().json()["data"]["result"]
        facts = [Fact(one["metric"]["asked"], one["metric"], float(one["value"][1])) for one in found]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, AttributeError):
        return None
    return [fact for fact in facts if math.isfinite(fact.value)]


def describe(facts: Sequence[Fact], reason: Callable[[], str]) -> Iterator[str]:
    """Yield one sentence for each trouble; pure but for `reason`, which is asked only where samples were refused."""
    sentences = {
        "never": lambda fact: f"{fact.way}: nothing was delivered since the start{_because(reason())}",
        "retried": lambda fact: (
            f"{fact.way}: samples cannot be delivered, and wait in the write-ahead log{_because(reason())}"
        ),
        "refused": lambda fact: (
            f"{fact.way}: {_count(fact)} refused within an hour{_because(reason())}; "
            "Prometheus alone has them: remove the reason, then run `perfloop fill`"
        ),
        "dropped": lambda fact: (
            f"{fact.way}: {_count(fact)} dropped before they were sent, within an hour: `perfloop fill`"
        ),
        "ignored": lambda fact: (
            f"{fact.way}: the store left out {_count(fact)} within an hour: {fact.labels.get('reason', '')}"
        ),
        "cut": lambda fact: f"{fact.way}: the store cut labels off {_count(fact)} within an hour: too many labels",
        "full": lambda fact: f"{fact.way}: the disk of the long-term store is full, so it takes no samples",
    }
    for fact in facts:
        if fact.asked == "age" and fact.value > _LATE_SECONDS:
            lost = "" if fact.value < _LOST_SECONDS else "; what is older than two hours is never sent: `perfloop fill`"
            yield f"{fact.way}: the newest sample is {span(fact.value)} old{lost}"
        elif fact.asked in sentences:
            yield sentences[fact.asked](fact)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _count(fact: Fact) -> str:
    return f"{max(1, round(fact.value)):,} samples"


def look(prometheus_url: str, read_log: Callable[[], str]) -> RemoteState:
    """Ask Prometheus about the stores that it writes to.

    Args:
        prometheus_url: one Prometheus; it scrapes the other of a pair.
        read_log: returns the end of its log.
    """
    facts = read_facts(prometheus_url)
    if not facts:
        return RemoteState(None, ())
    troubles = list(describe(facts, lambda: find_reason(read_log())))
    ages = [fact for fact in facts if fact.asked == "age"]
    newest = max((fact.value for fact in ages), default=0.0)
    stores = ", ".join(sorted({fact.way for fact in ages}))
    return RemoteState(facts, troubles, f"{stores}: every sample is delivered, the newest {max(newest, 0):.0f} s old")
