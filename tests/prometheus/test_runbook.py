"""Every alert has its section in the runbook, every section its alert, and the page shows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfloop_rules.runbook import list_sections, render_page

if TYPE_CHECKING:
    from pathlib import Path


def test_alerts_and_sections_are_the_same_list(directory: Path, alert_rules: list[dict[str, Any]]):
    """Nobody is woken up by an alert that nobody wrote down what to do about."""
    sections = list_sections((directory / "runbook.md").read_text())
    assert sorted(sections) == sorted({rule["alert"] for rule in alert_rules})


def test_every_section_says_what_to_check_and_what_to_do(directory: Path):
    """A sentence on what it means, then the two points."""
    sections = re.split(r"^## ", (directory / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        name, meaning, *_ = section.splitlines()
        assert meaning.endswith("."), name
        assert "\n- Check: " in section, name
        assert "\n- Do: " in section, name


def test_every_link_of_an_alert_finds_its_place_on_the_page(directory: Path, alert_rules: list[dict[str, Any]]):
    """The address in a message ends in an anchor that the served page has."""
    page = (directory / "runbook" / "runbook.html").read_text()
    anchors = set(re.findall(r'<h2 id="(\w+)">', page))
    assert {rule["annotations"]["runbook_url"].split("#")[1] for rule in alert_rules} <= anchors


def test_the_page_escapes_what_it_shows():
    """A tag in the text is text; code and emphasis are marked."""
    page = render_page("# Title\n\n## Alert\nA <b> in `a < b` and *so*.\n- Check: it.\n- Do: it.")
    assert '<h2 id="Alert">Alert</h2>' in page
    assert "A &lt;b&gt; in <code>a &lt; b</code> and <em>so</em>." in page
    assert "<ul><li>Check: it.</li><li>Do: it.</li></ul>" in page
