"""From the committed alertmanager.yml to the effective one: addresses of this stack, channels by the secrets present.

A channel goes to the inbox until its secret is a file in `secrets/`; then it goes to the real service. Which files
those are stands in alertmanager_secrets.py. A secret's value is never written into the configuration: Alertmanager
reads the file itself, through its `*_file` options.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import yaml

from perfloop.stack import alertmanager_channels
from perfloop.stack.alertmanager_secrets import AUTHORITIES, FORMS, AlertmanagerConfigError, read_secrets
from perfloop.stack.alertmanager_version import EVENT_RECORDER, Version
from perfloop.stack.render import rewrite_addresses
from perfloop_base.traces import PLACE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["CONFIG", "AlertmanagerConfigError", "install", "render"]

CONFIG = "alertmanager.yml"
LINKS = "links.tmpl"
GRAFANA = "grafana:3000"
INBOX = "inbox:19130"
# The inbox's own path (perfloop_inbox/alertmanager.py); programs meet on addresses only.
REPORTS_PATH = "/notifications"
EVENTS_PATH = "/events"
# Since this version every output of the event recorder has a name; before, none may.
_NAMED_OUTPUTS = Version(0, 35)
# The heartbeat is a report already.
_NOT_REPORTED = ("heartbeat",)
# In the links of messages, which people open: outside of any container.
GRAFANA_AS_COMMITTED = "127.0.0.1:3000"
INBOX_AS_COMMITTED = "127.0.0.1:19130"
# In each channel's markup, in front of what follows.
_TRACE_LINKS = {
    "email": '<a href="{}">Traces</a> · ',
    "slack": "<{}|Traces> · ",
    "markdown": "[Traces]({}) · ",
}
HEADER = f"# The effective configuration, written from alertmanager/{CONFIG} and the files in secrets/.\n"


def render(
    committed: str,
    secrets_dir: Path,
    addresses: Mapping[str, str],
    *,
    secrets_seen_as: Path | None = None,
    version: Version | None = None,
) -> str:
    """Return the effective configuration.

    Args:
        committed: the text of the committed alertmanager.yml.
        secrets_dir: the directory that may hold the files of alertmanager_secrets.py.
        addresses: what to write for each `host:port` of the committed file; empty leaves them.
        secrets_seen_as: the path of that directory where Alertmanager runs, if it is another.
        version: of the Alertmanager that will read it; where nobody knows, what newer ones have is left out.

    Raises:
        AlertmanagerConfigError: when the text is no configuration or a secret cannot be right.
    """
    secrets = read_secrets(secrets_dir, seen_as=secrets_seen_as, version=version)
    try:
        config = yaml.safe_load(committed)
    except yaml.YAMLError as error:
        raise AlertmanagerConfigError(
            f"alertmanager/{CONFIG} is not valid YAML: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("receivers"), list):
        raise AlertmanagerConfigError(f"alertmanager/{CONFIG} has no list of receivers.")
    config = _readdress(config, addresses)
    alertmanager_channels.switch(config, secrets, version)
    _report_notifications(config, addresses)
    if version is not None and version >= EVENT_RECORDER:
        _record_events(config, addresses, version)
    return HEADER + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=118)


def _readdress(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _readdress(item, addresses) for key, item in value.items()}
    if isinstance(value, list):
        return [_readdress(item, addresses) for item in value]
    return rewrite_addresses(value, addresses) if isinstance(value, str) and addresses else value


def _report_notifications(config: dict[str, Any], addresses: Mapping[str, str]) -> None:
    """Let every receiver report to the inbox what it sent, one that a person added too.

    As one more channel of the same receiver it has the same groups, waits, inhibitions and silences.
    """
    report = {"url": f"http://{addresses.get(INBOX, INBOX)}{REPORTS_PATH}", "send_resolved": True}
    for receiver in config["receivers"]:
        hooks = receiver.get("webhook_configs") or []
        has_channels = any(kind.endswith("_configs") for kind in receiver)
        if has_channels and receiver["name"] not in _NOT_REPORTED and report not in hooks:
            receiver["webhook_configs"] = [*hooks, report]


def _record_events(config: dict[str, Any], addresses: Mapping[str, str], version: Version) -> None:
    """Let Alertmanager send the inbox an event for whatever becomes of an alert: grouped, sent, silenced, inhibited."""
    name = {"name": "perfloop"} if version >= _NAMED_OUTPUTS else {}
    # One worker keeps the events in their order.
    output = {**name, "url": f"http://{addresses.get(INBOX, INBOX)}{EVENTS_PATH}", "workers": 1}
    recorder = config.setdefault("event_recorder", {})
    recorder["webhook_outputs"] = [*(recorder.get("webhook_outputs") or []), output]


def install(  # noqa: PLR0913 - from where to where, and who reads it
    source: Path,
    target: Path,
    secrets_dir: Path,
    addresses: Mapping[str, str],
    *,
    seen_as: Path | None = None,
    version: Version | None = None,
    traces_url: str = "",
) -> None:
    """Write the effective directory: configuration, templates, and the secrets without the newline an editor adds.

    Alertmanager before 0.27 sends the newline at the end of a password file as part of the password.

    Args:
        source: the committed `alertmanager/`.
        target: the directory to write; made when it is missing.
        secrets_dir: the directory that may hold the files of alertmanager_secrets.py.
        addresses: what to write for each `host:port` of the committed files; that of Grafana, and the inbox's as it
            stands in links.tmpl, are for people.
        seen_as: the path of `target` where Alertmanager runs, if it is another.
        version: of the Alertmanager that will read it; None where nobody knows.
        traces_url: where a browser reaches the traces; messages lead to no traces where it is empty.

    Raises:
        AlertmanagerConfigError: when the result could not work.
    """
    committed = (source / CONFIG).read_text(encoding="utf-8")
    seen = (seen_as or target.resolve()) / "secrets"
    effective = render(committed, secrets_dir, addresses, secrets_seen_as=seen, version=version)
    _write_secrets(target / "secrets", read_secrets(secrets_dir).values)
    (target / "templates").mkdir(parents=True, exist_ok=True)
    for template in sorted((source / "templates").glob("*.tmpl")):
        text = template.read_text(encoding="utf-8")
        if template.name == LINKS:
            text = text.replace(GRAFANA_AS_COMMITTED, addresses.get(GRAFANA, GRAFANA_AS_COMMITTED))
            own = addresses.get(INBOX, INBOX_AS_COMMITTED)
            text = text.replace(INBOX_AS_COMMITTED, addresses.get(INBOX_AS_COMMITTED, own))
            text = _with_traces(text, traces_url)
        (target / "templates" / template.name).write_text(text, encoding="utf-8")
    (target / CONFIG).write_text(effective, encoding="utf-8")


def _with_traces(text: str, url: str) -> str:
    """Return the links of messages with one to the traces, in the markup of each channel."""
    if not url:
        return text
    for channel, link in _TRACE_LINKS.items():
        empty = f'{{{{ define "perfloop.{channel}.traces" }}}}{{{{ end }}}}'
        text = text.replace(empty, empty.replace("}}{{", f"}}}}{link.format(_page_of_traces(url))}{{{{", 1))
    return text


def _page_of_traces(url: str) -> str:
    """Return where traces of any service are looked for: the store's first page where it is no Jaeger."""
    parts = urlsplit(url.replace(PLACE, "0"))
    page = f"{parts.scheme}://{parts.netloc}/" if PLACE in url else f"{url}/search"
    return page.replace("(", "%28").replace(")", "%29")  # which end a link in Markdown


def _write_secrets(directory: Path, values: Mapping[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in FORMS:
        (directory / name).unlink(missing_ok=True)
    for name, value in values.items():
        path = directory / name
        path.touch(mode=0o400)
        path.chmod(0o600)
        path.write_text(_bundle(value) if name == AUTHORITIES else value, encoding="utf-8")
        path.chmod(0o400)


def _bundle(own: str) -> str:
    """Return certificates of one's own together with the public ones: Alertmanager trusts what is in the file alone."""
    public = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
    return "".join([own.rstrip() + "\n", *map(ssl.DER_cert_to_PEM_cert, public)])
