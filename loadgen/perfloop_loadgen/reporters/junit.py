"""JUnit XML: each gate is a test case, so that a pipeline shows load tests among its other tests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from perfloop_base.visible import visible
from perfloop_loadgen.summary.verdict import GateResult, Verdict

if TYPE_CHECKING:
    from perfloop_loadgen.summary import Summary
    from perfloop_loadgen.summary.document import Document


def render_junit(document: Document) -> bytes:
    """Return one suite: the verdict, then every gate."""
    summary = document.summary
    failed = sum(gate.passed is False for gate in summary.gates) + (summary.verdict is Verdict.FAILED)
    errors = sum(gate.passed is None for gate in summary.gates) + (summary.verdict is Verdict.INVALID)
    # The verdict is a case of its own: a run may fail without any gate, and pipelines show cases only.
    suite = Element(
        "testsuite",
        name=visible(summary.name),
        tests=str(len(summary.gates) + 1),
        failures=str(failed),
        errors=str(errors),
        time=f"{summary.duration_seconds:.3f}",
        timestamp=document.started_at,
    )
    _add_properties(suite, document.summary)
    verdict = SubElement(
        suite, "testcase", classname=visible(summary.name), name="verdict", time=f"{summary.duration_seconds:.3f}"
    )
    if summary.verdict is not Verdict.PASSED:
        tag = "failure" if summary.verdict is Verdict.FAILED else "error"
        SubElement(verdict, tag, message=summary.verdict).text = "\n".join(map(visible, summary.reasons))
    for gate in summary.gates:
        _case(suite, visible(summary.name), gate)
    if summary.notes:
        SubElement(suite, "system-out").text = "\n".join(map(visible, summary.notes))
    return b"<?xml version='1.0' encoding='utf-8'?>\n" + tostring(suite, encoding="unicode").encode()


def _add_properties(suite: Element, summary: Summary) -> None:
    """Add the status codes, and what outcomes were about: a pipeline shows them beside the cases."""
    properties = SubElement(suite, "properties")
    for status, count in summary.total.statuses.items():
        SubElement(properties, "property", name=f"status {status}", value=str(count))
    for one in summary.total.connections:
        name = visible(f"connections to {one.address} with {one.protocol}")
        SubElement(properties, "property", name=name, value=str(one.count))
    if summary.total.retried:
        SubElement(properties, "property", name="requests sent again", value=str(summary.total.retried))
    for endpoint in summary.endpoints:
        for detail in endpoint.details:
            name = visible(f"{endpoint.label}: {detail.outcome} {detail.detail}")
            SubElement(properties, "property", name=name, value=str(detail.count))


def _case(suite: Element, name: str, gate: GateResult) -> None:
    case = SubElement(suite, "testcase", classname=name, name=visible(gate.text), time="0")
    if gate.passed is None:
        SubElement(case, "error", message="no data")
    elif not gate.passed:
        SubElement(case, "failure", message=f"measured {gate.measured} (n={gate.samples})")
