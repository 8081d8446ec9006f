"""Errors that are fixed: nobody is paged about them a second time, by what still holds them in its windows."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.alerting_chain import (
    Chain,
    serve,
    start_alertmanagers,
    start_inbox,
    start_prometheus,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = pytest.mark.skipif(
    not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes a minute or more: set PERFLOOP_LONG_TESTS=1 to run it"
)
SPEED = 15  # windows of 5, 30 and 37 minutes are 20 seconds, 2 and 2.5 minutes
BUDGET = "AvailabilityBudgetBurning"
FIRING = f'ALERTS{{alertname="{BUDGET}",alertstate="firing"}}'
# What the alert's own condition is, before what was reported is taken from it.
BURNS = 'service_slo:slo_errors:ratio_rate5m{service="shop",slo="availability"} > 14.4 * 0.001'


def faster(text: str) -> str:
    """Return a configuration or rules with every time of seconds, minutes and hours at a fifteenth."""

    def shorter(found: re.Match[str]) -> str:
        milliseconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] * 1000 / SPEED
        return f"{max(int(milliseconds), 400)}ms" if milliseconds else "0s"

    return re.sub(r"(?<![\w.:])(\d+)([smh])(?![\w.])", shorter, text)


def requests(share: float, *, rate: float = 200.0) -> dict[str, float]:
    """Return the rates of requests of which a share fails."""
    name = "http_server_request_duration_seconds_count"
    labels = 'http_route="/a",http_request_method="GET",http_response_status_code'
    return {f'{name}{{{labels}="200"}}': rate * (1 - share), f'{name}{{{labels}="500"}}': rate * share}


@pytest.fixture
def chain(bare_chain: Chain, prometheus_binary: str) -> Iterator[Chain]:
    """A service without errors, in front of the real rules, Alertmanager and inbox."""
    with serve(bare_chain.service) as port:
        bare_chain.service.set(requests(0.0))
        start_inbox(bare_chain)
        start_alertmanagers(bare_chain, rewrite=faster)
        flags = ("--rules.alert.resend-delay=1s",)
        start_prometheus(bare_chain, {"shop": f"127.0.0.1:{port}"}, rewrite=faster, flags=flags)
        wait_until(lambda: bare_chain.query("service_slo:slo_errors:ratio_rate1h"), what="the first ratios")
        yield bare_chain


def pages(chain: Chain, *names: str) -> list[str]:
    """Return which alerts sent a firing message, on any channel."""
    return sorted({one["alertname"] for one in chain.messages(status="firing")} & set(names))


@LONG
def test_a_budget_does_not_page_about_a_fault_that_was_paged_about_and_fixed(chain: Chain):
    """The errors' own alert pages; when they are fixed its end is the last word, while the budget still burns."""
    chain.service.set(requests(0.5))
    chain.wait_message(channel="pagerduty", alertname="ApiErrorsHigh", status="firing")
    time.sleep(10)  # two and a half minutes of errors
    chain.service.set(requests(0.0))
    chain.wait_message(channel="pagerduty", alertname="ApiErrorsHigh", status="resolved")
    assert chain.query(BURNS), "the budget's windows must still hold the fault, or this test shows nothing"
    end = time.monotonic() + 40
    while time.monotonic() < end:
        assert chain.query(FIRING) == []
        time.sleep(0.5)
    assert pages(chain, BUDGET) == []


@LONG
def test_a_budget_pages_when_the_fault_goes_on_below_the_limit_of_its_alert(chain: Chain):
    """Fixed in part: too few errors for their own alert, too many for the budget. That is news."""
    chain.service.set(requests(0.5))
    chain.wait_message(channel="pagerduty", alertname="ApiErrorsHigh", status="firing")
    chain.service.set(requests(0.04))
    chain.wait_message(channel="pagerduty", alertname="ApiErrorsHigh", status="resolved")
    assert pages(chain, BUDGET) == []
    chain.wait_message(channel="pagerduty", alertname=BUDGET, status="firing", seconds=90)
