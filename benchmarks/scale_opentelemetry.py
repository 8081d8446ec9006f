"""One load, measured by our instrumentation and by OpenTelemetry's: figures beside each other, and the rules' cost.

Usage: python benchmarks/scale_opentelemetry.py [--seconds SECONDS]

Four processes of the demo get the same requests: ours is scraped, the others send OTLP to the same Prometheus, under
the older HTTP conventions, the present ones, and with exponential histograms of delta temporality. The figures are
those of the recorded series that alerts and boards read. The peer is our own instrumentation.

Then a Prometheus without any data evaluates the shipped rules with and without those that read other spellings: what
they cost whoever has nothing of the kind.

Bars: request rates within 5 %, percentiles in the same or a neighbouring one of OpenTelemetry's default buckets, and at
most 2 % of one processor for the rules. Exits 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from bisect import bisect_left
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.otlp.receiver import Receiver, run_receiver
from tests.otlp.shops import OTEL_BOUNDS, OURS, PERCENTILES, SERVICES, WARM_UP_SECONDS, Shops, run_shops
from tests.support.current_prometheus import HOW, find_current

ROOT = Path(__file__).resolve().parents[1]
RATE = "service:http_server_requests:rate1m"
MOST_DIFFERENCE, MOST_COST = 0.05, 0.02
COST_SECONDS = 40.0
_CPU = re.compile(r"^process_cpu_seconds_total (\S+)", re.MULTILINE)


def cost_of_rules(binary: Path) -> float:
    """Return the share of one processor that the rules of spellings.yml take where no series match."""
    shares = []
    for without in ((), ("spellings.yml",)):
        with tempfile.TemporaryDirectory() as directory:
            ignored = shutil.ignore_patterns(*without)
            rules = shutil.copytree(ROOT / "prometheus", Path(directory) / "rules", ignore=ignored)
            config = {"global": {"evaluation_interval": "5s"}}
            with run_receiver(binary, Path(directory), rules, config) as prometheus:
                time.sleep(COST_SECONDS / 4)
                before = _cpu_seconds(prometheus)
                time.sleep(COST_SECONDS)
                shares.append((_cpu_seconds(prometheus) - before) / COST_SECONDS)
    return shares[0] - shares[1]


def _cpu_seconds(prometheus: Receiver) -> float:
    found = _CPU.search(httpx.get(f"{prometheus.url}/metrics", timeout=30).text)
    return float(found[1]) if found else float("nan")


def compare(shops: Shops) -> list[str]:
    """Print the table; return a sentence for each bar that is missed."""
    missed = []
    for name in (RATE, *PERCENTILES):
        values = {service: shops.value(name, service) for service in SERVICES}
        sys.stdout.write(f"{name}\n")
        for service, value in values.items():
            sys.stdout.write(f"  {service:18} {value:10.4f}  {value / values[OURS]:6.2f} x ours\n")
            apart = abs(bisect_left(OTEL_BOUNDS, value) - bisect_left(OTEL_BOUNDS, values[OURS]))
            off = abs(value / values[OURS] - 1) > MOST_DIFFERENCE if name == RATE else apart > 1
            if off or value != value:  # noqa: PLR0124 - NaN: there is no value
                missed.append(f"{name} of {service} is {value:.4f}, ours is {values[OURS]:.4f}")
    return missed


def main() -> int:
    """Run the load and print the figures; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=WARM_UP_SECONDS, help="how long the load lasts (%(default)s)")
    options = parser.parse_args()
    binary = find_current()
    if binary is None:
        sys.stderr.write(f"no Prometheus 3 is here: {HOW}\n")
        return 1
    with tempfile.TemporaryDirectory() as directory, run_shops(binary, Path(directory), ROOT, options.seconds) as shops:
        missed = compare(shops)
    cost = cost_of_rules(binary)
    sys.stdout.write(f"rules of other spellings, without a series: {cost:.2%} of one processor\n")
    if not cost <= MOST_COST:
        missed.append(f"the rules of other spellings take {cost:.2%} of one processor")
    for sentence in missed:
        sys.stdout.write(f"missed: {sentence}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
