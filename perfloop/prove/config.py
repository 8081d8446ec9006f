"""The settings of `perfloop prove`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_analyzer.moments import MOMENTS, parse_moment
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag
from perfloop_base.redaction import register_url

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_PAIRS = 3
LEAST_BLOCK = 10.0  # two scrapes of the usual five seconds, for a rate


@dataclass(frozen=True, slots=True)
class ProofConfig:
    """How a recommendation is proved."""

    before: str = flag("--before", "", metavar="URL", help="the service without the change")
    after: str = flag("--after", "", metavar="URL", help="the service with the change")
    url: str = flag("--url", "", metavar="URL", help="the one service that --apply and --revert change")
    apply: str = flag("--apply", "", metavar="COMMAND", help="shell command that makes the change")
    revert: str = flag("--revert", "", metavar="COMMAND", help="shell command that takes it back; runs at the end too")
    requests: Path | None = flag(
        "--requests", None, parse=Path, help="file of load tests whose endpoints say how each route is requested"
    )
    skip: tuple[str, ...] = flag(
        "--skip-route",
        (),
        repeat=True,
        metavar="ROUTE",
        help="a route that is not replayed: 'DELETE /items/{id}', or '/items/{id}' of every method; may be repeated",
    )
    pairs: int = flag("--pairs", 5, minimum=LEAST_PAIRS, help="pairs of blocks, one without and one with the change")
    block: float = flag("--block", 30.0, parse=parse_positive_duration, help="how long each block is measured")
    settle: float = flag("--settle", 10.0, parse=parse_positive_duration, help="load before it, which is not measured")
    start: float | None = flag(
        "--from", None, parse=parse_moment, metavar="MOMENT", help=f"load from then on: {MOMENTS}"
    )
    end: float | None = flag("--to", None, parse=parse_moment, metavar="MOMENT", help="load until then")
    scale: float = flag("--scale", 1.0, minimum=0.001, help="replay this multiple of every rate")
    seed: int = flag("--seed", 1, help="of the order of the two sides in each pair")
    out: Path | None = flag(
        "--out", None, parse=Path, help="directory of the page and the JSON file (default: the stack's)"
    )
    prometheus_url: str = flag("--prometheus.url", "", metavar="URL", help="Prometheus (default: the running stack's)")

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            ConfigError: With every problem.
        """
        problems = [*self._problems_of_sides(), *self._problems_of_addresses()]
        if self.block < LEAST_BLOCK:
            problems.append(f"--block={self.block:g}s is too short: a rate needs {LEAST_BLOCK:g} s")
        if self.start is not None and self.end is not None and self.start >= self.end:
            problems.append("--from is not before --to")
        if problems:
            raise ConfigError(problems)

    def _problems_of_sides(self) -> Iterator[str]:
        two, one = (self.before, self.after), (self.url, self.apply, self.revert)
        if any(two) == any(one):
            yield "give either --before URL --after URL, or --url URL --apply COMMAND --revert COMMAND"
        elif any(two) and not all(two):
            yield f"--{'after' if self.before else 'before'} is missing: both addresses are needed"
        elif any(one):
            for name in ("url", "apply", "revert"):
                if not getattr(self, name):
                    yield f"--{name} is missing: --url, --apply and --revert belong together"

    def _problems_of_addresses(self) -> Iterator[str]:
        for name in ("before", "after", "url"):
            address = getattr(self, name)
            register_url(address)
            if address and not address.startswith(("http://", "https://")):
                yield f"--{name}: must start with http:// or https://"
