"""Which hosts, devices and series the panels show: those chosen on the board, the leading ones where many are."""

from __future__ import annotations

from perfloop_boards.links import of_label, to_board
from perfloop_boards.queries import chosen, highest, rate, selector

MACHINE = chosen("instance")
OF = selector(*MACHINE)
REAL_DISK = 'device!~"(dm-|md|loop|ram|zram).*"'
REAL_NET = 'device!~"lo|(veth|docker|br-|cali|flannel).*"'
HOST = ("instance",)
DEVICE = ("instance", "device")
# Of a panel: more lines than that cannot be distinguished.
SHOWN = 10
NO_HOST = "No data of the chosen hosts: none is monitored, or the exporter does not answer."
NO_PRESSURE = "No pressure (PSI) data for this selection. Needs kernel ≥ 4.20 with psi=1."

ALL_HOSTS = to_board("Compare all hosts", "fleet")
# Of a panel whose series each belong to one host.
OF_HOST = (to_board("Show this host alone", "system", instance=of_label("instance")), ALL_HOSTS)
# Of a panel that adds up the chosen hosts.
OF_ALL = (ALL_HOSTS,)


def named(metric: str, *matchers: str) -> str:
    """Return the series of a metric on the chosen hosts."""
    return f"{metric}{selector(*MACHINE, *matchers)}"


def alive(series: str) -> str:
    """Return a recorded series without the hosts that do not answer: a rate lasts as long as its window after them."""
    return f"{series} unless on (instance) up == 0"


def leading(shown: str, counter: str, *labels: str, count: int = SHOWN) -> str:
    """Return the series of `shown` whose counter grew most over the whole time range; `labels` identify a series."""
    by = ", ".join(labels)
    return f"{shown} and on ({by}) topk({count}, sum by ({by}) (rate({counter}[$__range] @ end())))"


def flow(metric: str, *matchers: str, by: tuple[str, ...] = HOST) -> str:
    """Return the increase of a counter per second on the chosen hosts, of the leading ones."""
    return leading(rate(metric, *MACHINE, *matchers, by=by), named(metric, *matchers), *by)


def level(metric: str, *matchers: str, by: tuple[str, ...] = HOST) -> str:
    """Return a gauge on the chosen hosts, of those where it was highest."""
    series = named(metric, *matchers)
    return highest(SHOWN, f"max by ({', '.join(by)}) ({series})", series, *by)


def recorded(series: str, *labels: str) -> str:
    """Return a recorded series of the chosen hosts, of those where it was highest."""
    return highest(SHOWN, f"{series}{OF}", f"{series}{OF}", *(labels or HOST))


def per(part: str, whole: str, *matchers: str, by: tuple[str, ...] = HOST) -> str:
    """Return how much one counter grows for each step of another, where the other grows; of the leading ones."""
    quotient = f"{rate(part, *MACHINE, *matchers, by=by)} / ({rate(whole, *MACHINE, *matchers, by=by)} > 0)"
    return leading(quotient, named(whole, *matchers), *by)
