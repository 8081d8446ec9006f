"""A week of history in a real Prometheus becomes the weekly review in the inbox, and on the analyzer's page."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_analyzer.report_cli import main
from perfloop_analyzer.reports.window import last_full_week
from perfloop_base.errors import ExitCode
from perfloop_base.schedules import read_zone
from tests.support.free_ports import find_free_ports
from tests.support.history import serve_history, write_history
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ZONE = read_zone("UTC")
STEP = 60.0
DAY = 86_400.0
SERVICE = 'service="shop",job="services",instance="shop:8000"'
OF = f'{SERVICE},http_route="/buy",http_response_status_code="200"'
RATE = f"http_server_request_duration_seconds_count{{{OF}}}"


def bucket(bound: str) -> str:
    """The series of a histogram's bucket."""
    return f'http_server_request_duration_seconds_bucket{{{OF},le="{bound}"}}'


def make_week(start: float, end: float) -> str:
    """A week of one service: a daily pattern, two firings of an alert, and what the analyzer published."""

    def requests(moment: float) -> float:
        seconds = moment - start
        return 50.0 * seconds - 20.0 * DAY / (2 * math.pi) * (math.cos(2 * math.pi * seconds / DAY) - 1)

    def fires(*spans: tuple[float, float]) -> Callable[[float], float | None]:
        return lambda moment: 1.0 if any(a <= moment - start < b for a, b in spans) else None

    alert = 'ALERTS{alertname="PoolFull",alertstate="firing",service="shop",severity="critical"}'
    series: dict[str, Callable[[float], float | None]] = {
        f"up{{{SERVICE}}}": lambda _: 1.0,
        RATE: requests,
        bucket("0.1"): lambda moment: 0.9 * requests(moment),
        bucket("0.25"): requests,
        bucket("+Inf"): requests,
        alert: fires((DAY, DAY + 3600), (3 * DAY, 3 * DAY + 1800)),
        'alertmanager_notifications_total{integration="slack",instance="a"}': lambda moment: (moment - start) // DAY,
        'alertmanager_notifications_failed_total{integration="slack",instance="a"}': lambda _: 0.0,
        'perfloop_headroom_ratio{service="shop"}': lambda _: 4.4,
        'perfloop_capacity_requests_per_second{service="shop",bound="expected"}': lambda _: 220.0,
        'perfloop_capacity_limit_info{service="shop",resource="database_pool"}': lambda _: 1.0,
    }
    times = [start + STEP * number for number in range(int((end - start) / STEP) + 1)]
    return write_history(series, times)


@contextmanager
def running(directory: Path, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of the programs for a while; its log is a file of its name."""
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """Whether a program answers."""
    try:
        return httpx.get(f"{url}/-/healthy", timeout=2).is_success
    except httpx.HTTPError:
        return False


def ask(url: str) -> Any:
    """The JSON of a URL."""
    return httpx.get(url, timeout=60).raise_for_status().json()


@pytest.fixture
def week() -> tuple[float, float]:
    """The last full week."""
    window = last_full_week(time.time(), ZONE)
    return window.start, window.end


@pytest.mark.timeout(180)
def test_a_week_of_history_is_the_review_in_the_inbox(  # noqa: PLR0915 - one week, one story
    prometheus_binary: str, promtool: str, tmp_path: Path, week: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    """By mail and Slack, once each, with the figures of the week; the page and the command show the same."""
    web, mail, analyzer = find_free_ports(3)
    inbox_url, analyzer_url = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{analyzer}"
    # Whatever the second, it comes within a few: the report is new, and owes nothing of before.
    (tmp_path / "reports.yml").write_text(
        'reports:\n- {report: review, kind: weekly, schedule: "*/5 * * * * *"}\n', encoding="utf-8"
    )
    inbox = ("perfloop_inbox", f"--web.listen-address=127.0.0.1:{web}", f"--smtp.listen-address=127.0.0.1:{mail}")
    with (
        serve_history(prometheus_binary, promtool, tmp_path, make_week(*week)) as prometheus,
        running(tmp_path, "inbox", *inbox),
    ):
        source = str(prometheus.base_url).rstrip("/")
        command = ("perfloop_analyzer", "run", f"--web.listen-address=127.0.0.1:{analyzer}")
        command += (f"--prometheus.url={source}", f"--store.url=sqlite:///{tmp_path}/analyzer.sqlite")
        command += (f"--reports.file={tmp_path}/reports.yml", f"--inbox.url={inbox_url}")
        command += (f"--inbox.smtp=127.0.0.1:{mail}", "--alertmanager.url=http://127.0.0.1:1", "--interval=60s")
        wait_for(lambda: answers(inbox_url), "the inbox")
        with running(tmp_path, "analyzer", *command):
            wait_for(lambda: answers(analyzer_url), "the analyzer", 60)
            wait_for(lambda: len(ask(f"{inbox_url}/api/messages")) >= 4, "two reports in the inbox", 90)
            # From now on it owes nothing more, so that what came can be counted.
            (tmp_path / "reports.yml").write_text("reports: []\n", encoding="utf-8")
            time.sleep(2.0)
            wait_for(
                lambda: all(one["state"] == "sent" for one in ask(f"{analyzer_url}/api/v1/reports")), "the end", 30
            )
            stored = ask(f"{analyzer_url}/api/v1/reports")
            page = httpx.get(f"{analyzer_url}/reports/{stored[0]['id']}", timeout=10)
            document = ask(f"{analyzer_url}/reports/{stored[0]['id']}.json")
            shelf = httpx.get(f"{analyzer_url}/reports", timeout=10).text
            made = main(["weekly", f"--web.url={analyzer_url}", f"--out={tmp_path}/weekly.json"])
            assert httpx.get(f"{analyzer_url}/reports/no-such-report", timeout=10).status_code == 404
            assert main(["alerts", f"--web.url={analyzer_url}", "--from=2999-01-01"]) == ExitCode.USAGE
            assert "in the future: a report is about the past" in capsys.readouterr().err
        messages = ask(f"{inbox_url}/api/messages")
    # Every report came once by each channel.
    for channel in ("email", "slack"):
        own = [one for one in messages if one["channel"] == channel]
        assert len(own) == len(stored)
    sent = {one["payload"]["headers"]["Message-ID"] for one in messages if one["channel"] == "email"}
    assert sent == {f"<{one['id']}@localhost>" for one in stored}
    # The figures are those of the week.
    (alert,) = document["alerts"]["alerts"]
    assert (alert["alertname"], alert["times"], alert["acts"]) == ("PoolFull", 2, None)
    assert alert["seconds"] == pytest.approx(5400, abs=4 * 120)
    (shop,) = document["capacity"]["services"]
    assert shop["weeks"][-1]["rate"] == pytest.approx(50, rel=0.02)
    assert shop["weeks"][-1]["p95"] == pytest.approx(0.175, rel=0.05)
    assert shop["season"]["busiest"] in {5, 6}
    assert shop["growth_per_week_ratio"] is None
    assert shop["capacity"]["headroom_ratio"] == 4.4
    assert document["alerts"]["channels"] == [{"channel": "slack", "sent": pytest.approx(6, abs=1), "failed": 0.0}]
    assert any("127.0.0.1:1 does not answer" in sentence for sentence in document["unknown"])
    text = next(one["text"] for one in messages if one["channel"] == "slack")
    start = datetime.fromtimestamp(week[0], UTC)
    assert f"Weekly review, {start.day}" in text
    assert "shop can carry 4.4 times its load; its first limit is database pool." in text
    assert f"<{analyzer_url}/reports/review-" in text
    mailed = next(one["payload"] for one in messages if one["channel"] == "email")
    assert "PoolFull" in mailed["text"]
    assert "<table" in mailed["html"]
    # Page, list and command show the same.
    assert page.is_success
    assert "<svg" in page.text
    assert "style-src 'sha256-" in page.headers["content-security-policy"]
    assert stored[0]["title"] in shelf
    assert made == ExitCode.OK
    written = json.loads((tmp_path / "weekly.json").read_text())
    assert written["capacity"] == document["capacity"]
    log = (tmp_path / "analyzer.log").read_text()
    assert "Traceback" not in log
    assert "Message-ID" not in log


@pytest.mark.timeout(120)
def test_the_command_makes_a_report_without_an_analyzer(
    prometheus_binary: str, promtool: str, tmp_path: Path, week: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    """From Prometheus alone: what it cannot know it says; an empty span is no quiet one."""
    with serve_history(prometheus_binary, promtool, tmp_path, make_week(week[1] - DAY, week[1])) as prometheus:
        url = f"--prometheus.url={str(prometheus.base_url).rstrip('/')}"
        away = ("--alertmanager.url=http://127.0.0.1:1", "--inbox.url=http://127.0.0.1:1")
        assert main(["weekly", url, *away]) == ExitCode.OK
        text = capsys.readouterr().out
        assert "Prometheus's data begin on Sun" in text
        assert "only 14% of the last week is known" not in text  # the review has no notes of each service
        assert "which messages arrived is not known" in text
        empty = ["alerts", url, *away, "--from=2020-01-01", "--to=2020-01-08"]
        assert main(empty) == ExitCode.OK
        assert "Which alerts fired is not known." in capsys.readouterr().out
        assert main(["capacity", url, *away, f"--out={tmp_path}/no/such/directory/file.html"]) == ExitCode.NOT_WRITTEN
        assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert main(["weekly", url, *away]) == ExitCode.SOURCE_UNAVAILABLE
    assert "Prometheus answered nothing that the report needs" in capsys.readouterr().err
