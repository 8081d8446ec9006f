"""The percentiles of one thing on one panel: the same words and colours on every board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.limits import Limit, seconds, slo_limit
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from collections.abc import Callable

# Pieces of a streamed answer that follow each other as tokens should read as one flow; half a second is a pause.
FLOWS = seconds(slo_limit("inter_token").warning)
STUTTER = Limit(warning=0.5)
_COLOURS = {99: colours.SLOWEST, 95: colours.SLOW, 50: colours.FAST}


def percentiles(find: Callable[[float], str], *ranks: int) -> list[Query]:
    """The 99th, 95th and 50th percentile, or just the ranks given; `find` makes the expression of a quantile."""
    return [Query(find(rank / 100), f"p{rank}", _COLOURS[rank]) for rank in ranks or _COLOURS]
