"""What the chart's Alertmanager needs before it starts: the configuration that the secrets at hand allow.

An init container runs `python -m perfloop.stack.kubernetes_init` as the user of Alertmanager, and both have the
directory that it writes. It is the same as everywhere else: a channel goes to the inbox until its secret is there.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from pathlib import Path

from perfloop.stack import alertmanager_config
from perfloop.stack.alertmanager_version import parse_version
from perfloop_base.addresses import is_http_url
from perfloop_base.cli import Parser, guard
from perfloop_base.errors import ExitCode

_PROGRAM = "perfloop.stack.kubernetes_init"
_INBOX, _INBOX_SMTP = "inbox:19130", "inbox:19125"


def find_addresses(inbox: str) -> dict[str, str]:
    """Return what to write for each `host:port` of the committed files; `inbox` is its host in the cluster."""
    # In messages, which people open, it stays where `kubectl port-forward` puts it.
    people = alertmanager_config.INBOX_AS_COMMITTED
    return {_INBOX: f"{inbox}:19130", _INBOX_SMTP: f"{inbox}:19125", people: people}


def parse_grafana_url(text: str) -> str:
    """Return the address at which people reach Grafana, without the last slash.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not is_http_url(text):
        raise ArgumentTypeError(f"{text!r} is no address: write https://HOST")
    return text.rstrip("/")


def link_to_grafana(out: Path, url: str) -> None:
    """Let the links of messages lead to where people reach Grafana."""
    links = out / "templates" / alertmanager_config.LINKS
    committed = f"http://{alertmanager_config.GRAFANA_AS_COMMITTED}"
    links.write_text(links.read_text(encoding="utf-8").replace(committed, url), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Write the configuration; return the exit code."""
    return guard(_PROGRAM, lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    parser = Parser(prog=f"python -m {_PROGRAM}", description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the committed alertmanager/")
    parser.add_argument("--secrets", type=Path, required=True, metavar="DIR", help="files as in secrets/; may be none")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="what Alertmanager reads, in its place")
    parser.add_argument("--image", required=True, metavar="NAME:TAG", help="image of Alertmanager: its version")
    parser.add_argument("--inbox", required=True, metavar="HOST", help="host of the inbox")
    parser.add_argument(
        "--grafana.url", dest="grafana", type=parse_grafana_url, metavar="URL", help="for links of messages"
    )
    options = parser.parse_args(argv)
    alertmanager_config.install(
        options.source,
        options.out,
        options.secrets,
        find_addresses(options.inbox),
        version=parse_version(options.image),
    )
    if options.grafana:
        link_to_grafana(options.out, options.grafana)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
