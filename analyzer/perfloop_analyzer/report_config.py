"""The settings of reports about a span of time, each declared once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from perfloop_analyzer.config import parse_url
from perfloop_base.addresses import Address, parse_address
from perfloop_base.flags import flag
from perfloop_base.home import local_port, running_url


@dataclass(frozen=True, slots=True)
class ReportSources:
    """Where a report about a span of time finds what Prometheus does not have."""

    alertmanager_url: str = flag(
        "--alertmanager.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="Alertmanager, for the silences of a report (default: the running stack's)",
    )
    inbox_url: str = flag(
        "--inbox.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="the inbox, for the messages of a report, and for Slack's without a secret (default: the running stack's)",
    )

    def located(self) -> Self:
        """Return these settings with the addresses of the running stack where none were given.

        Raises:
            ConfigError: PERFLOOP_ALERTMANAGER_PORT or PERFLOOP_INBOX_PORT does not hold a port.
        """
        alertmanager = self.alertmanager_url or running_url("alertmanager")
        return replace(self, alertmanager_url=alertmanager, inbox_url=self.inbox_url or running_url("inbox"))


@dataclass(frozen=True, slots=True)
class ReportsConfig(ReportSources):
    """Which reports the service makes by itself, and where they are sent."""

    file: Path | None = flag(
        "--reports.file", None, parse=Path, help="which reports are made when; read again when it changes"
    )
    secrets_dir: Path | None = flag(
        "--reports.secrets-dir",
        None,
        parse=Path,
        metavar="DIR",
        help="the files that send reports to a mail server and to Slack, named as in secrets/; read at each delivery; "
        "without them reports go to the inbox",
    )
    inbox_mail: Address | None = flag(
        "--inbox.smtp",
        None,
        parse=parse_address,
        metavar="HOST:PORT",
        help="the inbox's mail server (default: 127.0.0.1 and PERFLOOP_INBOX_SMTP_PORT, else 19125)",
    )

    def mail_address(self) -> tuple[str, int]:
        """Return host and port of the inbox's mail server.

        Raises:
            ConfigError: PERFLOOP_INBOX_SMTP_PORT does not hold a port.
        """
        found = self.inbox_mail or Address("127.0.0.1", local_port("inbox_smtp"))
        return found.host or "127.0.0.1", found.port
