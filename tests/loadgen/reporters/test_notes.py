"""Notes of a run: one sentence each, in every report that people read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.text import summary_lines
from tests.loadgen.conftest import build_document

if TYPE_CHECKING:
    from perfloop_loadgen.summary.document import Document

NOTE = "ramp_up_seconds: 6 s instead of 60 s"


def _noted() -> Document:
    document = build_document(0.1, 1)
    return replace(document, summary=replace(document.summary, notes=[NOTE]))


@pytest.mark.parametrize("kind", ["html", "junit", "markdown"])
def test_every_report_shows_the_notes(kind: str):
    """What changes how numbers are read is beside them, in whichever report."""
    shown = RENDERERS[kind](_noted()).decode().replace("\\", "")
    assert NOTE in shown


def test_the_json_report_and_the_text_have_them():
    """A program finds them under `summary.notes`, a person at the end of the text."""
    document = _noted()
    assert json.loads(RENDERERS["json"](document))["summary"]["notes"] == [NOTE]
    assert list(summary_lines(document.summary))[-1] == f"  note: {NOTE}"
