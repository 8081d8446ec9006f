"""The flags of `run` that say what is sent, how much of it, for how long and how often."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from perfloop_base.clusters import LOCAL, parse_cluster
from perfloop_base.durations import parse_duration, parse_positive_duration
from perfloop_base.flags import flag
from perfloop_base.visible import brief
from perfloop_loadgen.config.scenario import Method
from perfloop_loadgen.shares import Share, parse_part

# Of a test that is repeated until an interval is narrow enough.
MOST_RUNS = 20
# Of a Dask cluster: one of this process's own.
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][0-9]+)?)(?:/(?P<unit>s|m|h))?")


def parse_rate(text: str) -> float:
    """Return the requests per second of `200`, `200/s`, `600/m` or `100/h`.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    found = _RATE.fullmatch(text)
    rate = float(found["number"]) / _SECONDS[found["unit"] or "s"] if found else 0.0
    if found is None or not 0 < rate < math.inf:
        raise ValueError(f"{brief(text)} is not a rate above 0: write requests per time, such as 200/s, 600/m or 100/h")
    return rate


def parse_count(text: str) -> int:
    """Return a whole number above 0.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):  # noqa: PLR2004 - digits of an int
        raise ValueError(f"{brief(text)} is not a whole number above 0")
    return int(text)


def parse_share(text: str) -> float:
    """Return the share that is written in per cent, `5` or `5%`; above 0.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < math.inf:
        raise ValueError(f"{brief(text)} is not a number of per cent above 0, such as 5%")
    return share


def parse_moment(text: str) -> float:
    """Return the Unix seconds of a moment: `2026-11-30T10:00:00Z`, with any zone, or the seconds themselves.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    if re.fullmatch(r"[0-9]{9,11}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{brief(text)} is not a moment: write 2026-11-30T10:00:00Z, or Unix seconds") from None
    if moment.tzinfo is None:
        raise ValueError(f"{brief(text)} has no time zone, and machines may be in different ones: write {brief(text)}Z")
    return moment.timestamp()


@dataclass(frozen=True, slots=True)
class ShareFlags:
    """Which share of the load this process sends, where several processes share it without a coordinator."""

    share: Share | None = flag(
        "--share",
        None,
        parse=lambda text: parse_part(text, os.environ),
        metavar="I/N",
        help="send exactly the I-th of N shares of the load, as 2/8; job/8 in an indexed Job of Kubernetes; `merge` "
        "makes one run of the shares",
    )
    start_at: float | None = flag(
        "--start-at",
        None,
        parse=parse_moment,
        metavar="TIME",
        help="begin at this moment, as 2026-11-30T10:00:00Z: that of every share",
    )


@dataclass(frozen=True, slots=True)
class WorkerFlags:
    """Which workers share the load, with this process as their coordinator."""

    address: str = flag(
        "--dask",
        "",
        parse=parse_cluster,
        alone=LOCAL,
        metavar="tcp://HOST:PORT",
        help="spread the load over the workers of a Dask cluster; alone, or local: over processes of this machine",
    )
    workers: int | None = flag(
        "--workers", None, parse=parse_count, metavar="N", help="share the load among so many workers"
    )
    on_lost_worker: str | None = flag(
        "--on-lost-worker",
        None,
        choices=("invalid", "take-over"),
        help="what a worker that is lost does to the run: it is invalid, or the others take its share over",
    )
    ca_file: Path | None = flag("--dask.tls-ca-file", None, parse=Path, help="authority of a scheduler at tls://")
    cert_file: Path | None = flag("--dask.tls-cert-file", None, parse=Path, help="certificate to show a scheduler")
    key_file: Path | None = flag("--dask.tls-key-file", None, parse=Path, help="key of that certificate")


@dataclass(frozen=True, slots=True)
class LoadFlags:
    """What the command line says about load and duration, instead of the file or the profile."""

    duration: float | None = flag(
        "--duration",
        None,
        parse=parse_duration,
        help="length of the test, 0 until it is stopped; its ramps and stages keep their share of it",
    )
    users: int | None = flag(
        "--users",
        None,
        parse=parse_count,
        metavar="N",
        help="concurrent users; with --rate, requests under way at most",
    )
    rate: float | None = flag(
        "--rate",
        None,
        parse=parse_rate,
        metavar="RATE",
        help="requests that start per second, as 200/s, whether or not earlier ones were answered: an open load",
    )
    ramp_up: float | None = flag(
        "--ramp-up",
        None,
        parse=parse_positive_duration,
        help="time within which users or rate grow to the full number, inside the duration",
    )


@dataclass(frozen=True, slots=True)
class RequestFlags:
    """What is sent to a URL that stands in place of a file."""

    method: str = flag("--method", "GET", choices=get_args(Method), help="method of the request to a URL")
    headers: tuple[str, ...] = flag(
        "--header", (), repeat=True, metavar="'NAME: VALUE'", help="header of the request to a URL (may be repeated)"
    )
    body: str | None = flag("--body", None, help="body of the request to a URL")


@dataclass(frozen=True, slots=True)
class RepeatFlags:
    """How often each test is run."""

    repeat: int | None = flag(
        "--repeat", None, parse=parse_count, metavar="N", help="run each test N times; with --until-interval, at least"
    )
    until_interval: float | None = flag(
        "--until-interval",
        None,
        parse=parse_share,
        metavar="PERCENT",
        help="run each test until the p95 is known to this: a 95% interval over the runs of ± PERCENT",
    )
    most: int | None = flag(
        "--max-repeats", None, parse=parse_count, metavar="N", help=f"most runs for the interval (default: {MOST_RUNS})"
    )
    within: float | None = flag(
        "--max-time", None, parse=parse_positive_duration, help="begin no run for the interval that would end later"
    )
