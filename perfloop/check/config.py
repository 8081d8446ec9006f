"""The settings of `perfloop check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag
from perfloop_base.redaction import redact_url, register_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DAY = 86_400.0
# The programs that can be named by an address of their own.
ADDRESSED = ("prometheus", "alertmanager", "analyzer", "inbox", "grafana")
LONGEST_TEST_SECONDS = 120.0


def parse_label(text: str) -> tuple[str, str]:
    """Return the name and the value of `version=1.4`.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ValueError(f"{brief(text)} is not a label: write NAME=VALUE, such as version=1.4")
    return name, value


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """What is checked, and how old what was done may be. Durations are in seconds."""

    service: str = flag("--service", "", metavar="NAME", help="check what is about this service only")
    test: str = flag(
        "--test", "", metavar="NAME", help="the load test that counts (default: every test of the service)"
    )
    labels: tuple[tuple[str, str], ...] = flag(
        "--label",
        (),
        repeat=True,
        parse=parse_label,
        metavar="NAME=VALUE",
        help="label of the load tests of what goes live, such as version=1.4 "
        "(default: those of this directory's commit; may be repeated)",
    )
    test_age: float = flag(
        "--test.max-age", 30 * _DAY, parse=parse_positive_duration, help="a load test that is older counts no more"
    )
    backup_age: float = flag(
        "--backup.max-age", 7 * _DAY, parse=parse_positive_duration, help="a backup that is older counts no more"
    )
    progress_age: float = flag(
        "--progress.max-age",
        30 * _DAY,
        parse=parse_positive_duration,
        help="so long an open recommendation may wait for anybody",
    )
    test_alert: bool = flag("--test-alert", default=True, help="send a test alert through every channel")
    patience: float = flag(
        "--test-alert.timeout", 60.0, parse=parse_positive_duration, help="how long test alerts are waited for"
    )
    prometheus_url: str = flag("--prometheus.url", "", metavar="URL", help="Prometheus (default: the running stack's)")
    alertmanager_url: str = flag("--alertmanager.url", "", metavar="URL", help="Alertmanager, in the same way")
    analyzer_url: str = flag("--analyzer.url", "", metavar="URL", help="the analyzer")
    inbox_url: str = flag("--inbox.url", "", metavar="URL", help="the inbox")
    grafana_url: str = flag("--grafana.url", "", metavar="URL", help="Grafana; user and password may stand in the URL")
    store_url: str = flag("--store.url", "", metavar="URL", help="database of the load tests' runs")
    store_file: Path | None = flag(
        "--store.url-file", None, parse=Path, help="file with the database's URL, for one that contains a password"
    )

    @property
    def urls(self) -> Mapping[str, str]:
        """The addresses that flags name, by program, without a slash at their end."""
        named = {name: getattr(self, f"{name}_url") for name in ADDRESSED}
        return {name: url.rstrip("/") for name, url in named.items() if url}

    def check(self) -> None:
        """Refuse addresses that are none.

        Raises:
            ConfigError: With every problem.
        """
        problems = list(self._problems())
        if problems:
            raise ConfigError(problems)

    def _problems(self) -> Iterator[str]:
        for name, url in self.urls.items():
            register_url(url)
            if not url.startswith(("http://", "https://")):
                yield f"--{name}.url is {brief(redact_url(url))}: an address begins with http:// or https://"
        if self.patience > LONGEST_TEST_SECONDS:
            limit = f"a test alert is waited for at most {LONGEST_TEST_SECONDS:.0f} s"
            yield f"--test-alert.timeout is {self.patience:g} s: {limit}"
        names = [name for name, _ in self.labels]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"--label {name}: given with several values"
