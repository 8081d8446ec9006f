"""The flags of every web server: the same names, defaults and help in each program."""

from __future__ import annotations

from typing import Any

from perfloop_base.flags import flag
from perfloop_base.web.hosts import parse_allowed_hosts


def config_file_flag() -> Any:
    """Return the field of `--web.config.file`; empty without one."""
    return flag(
        "--web.config.file", "", metavar="FILE", help="TLS and basic authentication, in exporter-toolkit's format"
    )


def allowed_hosts_flag() -> Any:
    """Return the field of `--web.allowed-hosts`, a tuple of names as hosts.refusal takes them."""
    return flag(
        "--web.allowed-hosts",
        (),
        parse=parse_allowed_hosts,
        metavar="NAMES",
        help="names that requests may ask for beside addresses, localhost, names without a dot and *.internal, *.svc, "
        "*.cluster.local; separated by commas, .example.org for all names below it",
    )
