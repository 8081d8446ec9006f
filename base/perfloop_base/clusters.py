"""Where a Dask cluster is, as every program's `--dask` takes it."""

from __future__ import annotations

from perfloop_base.addresses import parse_address
from perfloop_base.visible import brief

LOCAL = "local"  # processes of this machine


def parse_cluster(text: str) -> str:
    """Return the address of a Dask scheduler, `tcp://HOST:PORT` or `tls://HOST:PORT`, or `local`.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    if text == LOCAL:
        return text
    scheme, found, place = text.partition("://")
    rule = f"{brief(text)} is not the address of a Dask scheduler: write tcp://HOST:PORT, tls://HOST:PORT, or local"
    if not found or scheme not in {"tcp", "tls"} or "/" in place:
        raise ValueError(rule)
    try:
        address = parse_address(place)
    except ValueError:
        raise ValueError(rule) from None
    if not address.host or not address.port:
        raise ValueError(rule)
    return text
