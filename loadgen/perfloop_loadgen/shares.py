"""Shares of one load: which of its arrivals, users and rows of data one sender has.

A share (i, n) has every number that leaves the remainder i when it is divided by n: arrivals of the schedule, users and
passes over the data are numbered from 0 over all senders. So the n shares of a load send each of its arrivals exactly
once, and a share is cut into k again by the remainders i, i + n, …, i + (k - 1) n of k n.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Which sender, from 0, of how many.
Share = tuple[int, int]
WHOLE: Share = (0, 1)
# The variable in which an indexed Job of Kubernetes has the number of the process, from 0.
JOB_INDEX = "JOB_COMPLETION_INDEX"
MOST_SHARES = 10_000
_FORM = re.compile(r"(?P<number>[0-9]{1,9}|job)/(?P<of>[0-9]{1,9})")


def parts_of(share: Share, count: int) -> list[Share]:
    """Return the shares that make up a share, `count` of them."""
    index, of = share
    return [(index + of * number, of * count) for number in range(count)]


def parse_part(text: str, environ: Mapping[str, str]) -> Share:
    """Return the share of `2/8`, the second of eight, or of `job/8`, whose number an indexed Job gives its process.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{brief(text)} is not a share: write 2/8 for the second of eight, or job/8 in an indexed Job")
    number, of = found["number"], int(found["of"])
    if not 0 < of <= MOST_SHARES:
        raise ValueError(f"{brief(text)}: there are 1 to {MOST_SHARES} shares of a load")
    if number == "job":
        return _index_of_job(environ.get(JOB_INDEX, ""), of), of
    if not 0 < int(number) <= of:
        raise ValueError(f"{brief(text)}: the shares are numbered from 1 to {of}")
    return int(number) - 1, of


def _index_of_job(text: str, of: int) -> int:
    if not text:
        raise ValueError(f"job/{of}: the environment has no {JOB_INDEX}: an indexed Job of Kubernetes sets it")
    if not (text.isascii() and text.isdigit()) or int(text) >= of:
        raise ValueError(
            f"job/{of}: {JOB_INDEX} is {brief(text)}: the processes of {of} are numbered from 0 to {of - 1}"
        )
    return int(text)


def named(share: Share) -> str:
    """Return a share as people write it: `2/8`."""
    return f"{share[0] + 1}/{share[1]}"


def listed(numbers: Sequence[int]) -> str:
    """Return numbers in words: `3`, `3 and 7`, `1, 3 and 7`."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
