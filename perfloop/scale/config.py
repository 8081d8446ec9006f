"""The settings of `perfloop scale`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.addresses import is_http_url
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag
from perfloop_base.redaction import redact_url, register_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

# A name that means nothing to a shell, to Compose or in PromQL.
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
REPLICAS_FIELD = "{replicas}"


def _parse_service(text: str) -> str:
    if not SERVICE.fullmatch(text):
        raise ValueError(f"{brief(text)} is not a service's name: letters, digits, '.', '_' and '-'")
    return text


def _parse_webhook(text: str) -> str:
    register_url(text)  # before anything shows it
    if not is_http_url(text):
        raise ValueError(f"{redact_url(text)!r} is not a URL: write http://HOST:PORT/PATH or https://HOST/PATH")
    return text


@dataclass(frozen=True, slots=True)
class ScaleConfig:
    """Which service is scaled, by what, and how often. Times are in seconds."""

    service: str = flag("--service", parse=_parse_service, metavar="NAME", help="the service, as its series name it")
    command: str = flag(
        "--command",
        "",
        metavar="COMMAND",
        help="shell command that changes the number; {service} and {replicas} stand for both",
    )
    webhook: str = flag("--webhook", "", parse=_parse_webhook, metavar="URL", help="where the number is posted as JSON")
    token_file: Path | None = flag(
        "--webhook.token-file", None, parse=Path, help="file with the webhook's bearer token"
    )
    prometheus_url: str = flag("--prometheus.url", "", metavar="URL", help="Prometheus (default: the running stack's)")
    interval: float = flag("--interval", 15.0, parse=parse_positive_duration, help="time between two looks")
    timeout: float = flag(
        "--timeout", 60.0, parse=parse_positive_duration, help="time limit of one change; the next look waits for it"
    )
    once: bool = flag("--once", default=False, help="look once, change the number if need be, and end")

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            ConfigError: With every problem.
        """
        if problems := list(self._problems()):
            raise ConfigError(problems)

    def _problems(self) -> Iterator[str]:
        if bool(self.command) == bool(self.webhook):
            yield "give either --command COMMAND or --webhook URL: one of them changes the number"
        if self.command and REPLICAS_FIELD not in self.command:
            yield f"--command does not contain {REPLICAS_FIELD}: it would not know how many replicas there shall be"
        if self.token_file and not self.webhook:
            yield "--webhook.token-file is for --webhook, which is missing"
