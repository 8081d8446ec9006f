# ruff: noqa: ISC004  # a sentence that is longer than a line is still one
"""What would only come out at night, when a message is to be sent, comes out in the check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_rules.notifications import check_notifications

if TYPE_CHECKING:
    from pathlib import Path

MISTAKES = {
    "an address with a newline": (
        'receivers:\n  - name: email\n    email_configs:\n      - to: "a@example.com\\nbcc: b@example.com"\n',
        "alertmanager.yml:4: receiver email: to has the address 'a@example.com\\nbcc: b@example.com'; it must be an"
        " e-mail address on one line.",
    ),
    "a receiver without a secret": (
        "receivers:\n  - name: slack\n    slack_configs:\n      - channel: '#a'\n",
        "alertmanager.yml:4: receiver slack: slack_configs has none of api_url, api_url_file: without a secret it"
        " cannot deliver.",
    ),
    "a pager without a key": (
        "receivers:\n  - name: p\n    pagerduty_configs:\n      - severity: critical\n",
        "alertmanager.yml:4: receiver p: pagerduty_configs has none of routing_key, routing_key_file, service_key,"
        " service_key_file: without a secret it cannot deliver.",
    ),
    "a route to nobody": (
        "route:\n  receiver: slack\n  routes:\n    - receiver: slak\nreceivers:\n  - name: slack\n",
        "alertmanager.yml:4: a route has the unknown receiver 'slak'; did you mean 'slack'?",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str):
    """The sentence has file, line, value and rule."""
    text, sentence = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alertmanager.yml").write_text(text)
    assert sentence in check_notifications(tmp_path / "alertmanager.yml")


def test_the_committed_configuration_has_no_problem(checkout: Path):
    """What ships is clean."""
    assert check_notifications(checkout / "alertmanager" / "alertmanager.yml") == []


def test_a_file_that_is_not_yaml_is_a_problem(tmp_path: Path):
    """Not an exception: the check goes on with the rules."""
    (tmp_path / "alertmanager.yml").write_text("a: [")
    (problem,) = check_notifications(tmp_path / "alertmanager.yml")
    assert "alertmanager.yml:1: not valid YAML: " in problem
