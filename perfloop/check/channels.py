"""The channels of alerts: one that reaches somebody outside, and a test alert that arrives through each of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop.check import advice
from perfloop.check.asking import Answer
from perfloop.check.findings import failed, passed, unknown
from perfloop.check.place import NAMED, NATIVE
from perfloop.stack.alertmanager_secrets import FORMS, SWITCHES, AlertmanagerConfigError, is_outside, read_secrets
from perfloop.stack.alertmanager_version import parse_version
from perfloop.stack.configuration import ETC
from perfloop.stack.send_test import CHANNELS, FURTHER, integration_of, send_test
from perfloop_base.redaction import redact, register
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources
    from perfloop.stack.send_test import Answer as Delivery

_NOBODY = ("heartbeat",)  # it says that the stack lives, and notifies nobody of an alert
_ANY = ("ca_certificates", "proxy_url")  # files that every channel outside depends on
# Which channel a file in secrets/ belongs to, by how its name begins.
_OWNERS = {
    "slack": "slack",
    "smtp": "email",
    "email": "email",
    "pagerduty": "pagerduty",
    "opsgenie": "opsgenie",
    "msteams": "teams",
    "discord": "discord",
    "webhook": "webhook",
    "heartbeat": "heartbeat",
}
_NAMED = re.compile(r"secrets/(\w+)")
_SAID = re.compile(r'err="((?:[^"\\]|\\.)*)"')
_LONGEST_REASON = 240


class _VersionInfo(Answer):
    version: str


class StatusAnswer(Answer):
    """What Alertmanager's `/api/v2/status` answers."""

    versionInfo: _VersionInfo  # noqa: N815 - Alertmanager's own name


def look_for_a_real_channel(sources: Sources) -> Iterator[Finding]:
    """Alerts reach somebody outside of this machine."""
    if sources.place.mode == NAMED:
        why = "only the stack of this directory says which of its channels reach somebody outside"
        yield unknown(why, advice.START)
        return
    directory = sources.place.settings.secrets
    outside = sorted(one for one in SWITCHES if one not in _NOBODY and is_outside(one, directory))
    if outside:
        yield passed(f"secrets/ connects {', '.join(outside)}")
    else:
        yield failed("every channel ends in the local inbox: nobody outside hears of an alert", advice.ADD_CHANNEL)


def look_at_channels(sources: Sources) -> Iterator[Finding]:
    """A test alert arrives through every channel: a line each."""
    directory = sources.place.settings.secrets
    channels = [*CHANNELS, *(one for one in FURTHER if is_outside(one, directory))]
    if not sources.config.test_alert:
        for channel in channels:
            yield unknown("no test alert was sent, as --no-test-alert asks", advice.SEND_TEST, of=channel)
        return
    url = sources.place.url("alertmanager")
    version = sources.answer(StatusAnswer, "alertmanager", "/api/v2/status").versionInfo.version
    wrong = find_wrong_files(sources, version)
    log = _Log(sources)
    sources.say(f"sending a test alert through {', '.join(channels)}")
    answers = send_test(
        alertmanager_url=url,
        inbox_url=sources.place.url("inbox"),
        secrets_dir=directory,
        patience_seconds=sources.config.patience,
    )
    for answer in answers:
        yield _judge(answer, wrong, log, directory)


def _judge(answer: Delivery, wrong: Mapping[str, Sequence[str]], log: _Log, directory: Path) -> Finding:
    channel = answer.channel
    if channel in wrong:
        return failed("; ".join(wrong[channel]), advice.READ_ALERTMANAGER, of=channel)
    if answer.delivered:
        return passed(answer.finding, of=channel)
    if not answer.known:
        return unknown(answer.finding, advice.STATUS, of=channel)
    reason = log.reason(integration_of(channel)) if is_outside(channel, directory) else ""
    words = f"{answer.finding}: {reason}" if reason else answer.finding
    return failed(words, advice.READ_ALERTMANAGER, of=channel)


def find_wrong_files(sources: Sources, version: str) -> Mapping[str, Sequence[str]]:
    """Return, for each channel, what is wrong with its files in secrets/: as they are, or as Alertmanager has them."""
    directory = sources.place.settings.secrets
    try:
        secrets = read_secrets(directory, version=parse_version(version))
    except AlertmanagerConfigError as error:
        return _by_channel([one.rstrip(".") for one in error.problems], directory)
    except OSError as error:
        return _by_channel([f"secrets/ cannot be read: {error.strerror}"], directory)
    if sources.place.mode != NATIVE:
        return {}
    used = sources.place.settings.home / ETC / "alertmanager" / "secrets"
    behind = [name for name in FORMS if not _is_used(secrets.values.get(name), used / name) and name not in _ANY]
    return _by_channel([f"secrets/{name} is not what Alertmanager uses: `perfloop up` applies it" for name in behind])


def _is_used(value: str | None, file: Path) -> bool:
    try:
        used = file.read_text(encoding="utf-8") if file.is_file() else None
    except OSError:
        return True  # another user's: Alertmanager's own answer decides
    return used == value


def _by_channel(problems: Sequence[str], directory: Path | None = None) -> Mapping[str, Sequence[str]]:
    """Return problems by the channels that they break; those that name no channel's file break all outside."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        names = [match for match in _NAMED.findall(problem) if match in FORMS]
        channels = {owner for name in names for start, owner in _OWNERS.items() if name.startswith(start)}
        every = {one for one in SWITCHES if directory is not None and is_outside(one, directory)}
        for channel in sorted(channels or every):
            found.setdefault(channel, []).append(problem)
    return found


class _Log:
    """What Alertmanager has logged since the test began; of a native stack alone."""

    def __init__(self, sources: Sources) -> None:
        place = sources.place
        self._path = place.settings.home / "logs" / "alertmanager.log" if place.mode == NATIVE else None
        self._before = self._size()
        for value in _values(place.settings.secrets):
            register(value)  # a service's answer may repeat its address

    def _size(self) -> int:
        try:
            return self._path.stat().st_size if self._path else 0
        except OSError:
            return 0

    def reason(self, integration: str) -> str:
        """Return the last error of an integration, without secrets; nothing where none was logged."""
        if self._path is None:
            return ""
        try:
            with self._path.open("rb") as file:
                file.seek(self._before)
                lines = file.read(1 << 20).decode(errors="replace").splitlines()
        except OSError:
            return ""
        about = (f"integration={integration}[", f"/{integration}[")
        said = [match[1] for line in lines if any(one in line for one in about) and (match := _SAID.search(line))]
        return visible(redact(said[-1].replace('\\"', '"')))[:_LONGEST_REASON] if said else ""


def _values(directory: Path) -> Iterator[str]:
    for name in FORMS:
        try:
            yield (directory / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
