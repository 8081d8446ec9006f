"""The commands that compare runs: `compare`, `ab`, `gate`, and `calibrate` with the noise of a test."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.flags import flag, read_flags
from perfloop_base.quantities import quantity
from perfloop_base.terminal import show
from perfloop_loadgen.app.calibration import calibrate, calibration_path, write_calibration
from perfloop_loadgen.app.certifying import measure_noise, write_certificate
from perfloop_loadgen.app.comparing import Options, compare_named
from perfloop_loadgen.app.gating import REPEAT, GatePlan, gate
from perfloop_loadgen.app.interleaving import ROUNDS, Plan, ab
from perfloop_loadgen.app.memory import Memory
from perfloop_loadgen.app.store_flags import KEEP_ALL, StoreFlags, keeping_of, parse_label
from perfloop_loadgen.app.switching import BASE, NEW, Commands, Health
from perfloop_loadgen.compare.measures import MEASURES
from perfloop_loadgen.compare.noise import LEAST_RUNS, Certificate
from perfloop_loadgen.compare.runs import MIN_EFFECT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.config import LoadTestConfig

    # The tests that the arguments name, against another address if one is given.
    Choose = Callable[[argparse.Namespace, str | None], list[LoadTestConfig]]

_NOISE_RUNS = 10
# Runs a side, for which the noise is said in words.
_SHOWN_RUNS = (1, 5, 10)
_SEEDS = 2**31


def parse_positive(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r} must be above 0")
    return value


def parse_percent(text: str) -> float:
    """Read a number of per cent: `10` or `10%`."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of per cent, as 10") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{text!r} must not be negative")
    return value


def checked_measures(text: str) -> str:
    """Return a list of measures as it is written, `p50,p95`."""
    unknown = [name for name in text.split(",") if name not in MEASURES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(MEASURES)}")
    return text


@dataclass(frozen=True, slots=True)
class GateFlags:
    """How fine a comparison is, and what it is about."""

    percent: float | None = flag(
        "--min-effect",
        None,
        parse=parse_percent,
        metavar="PERCENT",
        help=f"smallest change that matters (default: {MIN_EFFECT * 100:g})",
    )
    tolerance: float | None = flag(
        "--tolerance", None, parse=parse_percent, metavar="PERCENT", help="the earlier name of --min-effect"
    )
    measures: str = flag(
        "--measures",
        ",".join(MEASURES),
        parse=checked_measures,
        metavar="NAMES",
        help="what is compared",
    )
    force: bool = flag("--force", default=False, help="compare runs of different tests or machines all the same")

    @property
    def min_effect(self) -> float:
        """Return the smallest change that matters, as a share."""
        given = self.percent if self.percent is not None else self.tolerance
        return MIN_EFFECT if given is None else given / 100


@dataclass(frozen=True, slots=True)
class ComparisonReports:
    """The file of each kind of report; the fields are named after the kinds."""

    markdown: Path | None = flag("--report.markdown", None, parse=Path, help="write it for a pull request")
    junit: Path | None = flag("--report.junit", None, parse=Path, help="write a JUnit report")
    json: Path | None = flag("--report.json", None, parse=Path, help="write a JSON report")


@dataclass(frozen=True, slots=True)
class Sides:
    """The runs of a comparison whose sides are lists."""

    rounds: int = flag("--rounds", ROUNDS, minimum=1, help="runs against each side")
    seed: int | None = flag("--seed", None, parse=int, metavar="NUMBER", help="the same seed gives the same order")
    a_command: str | None = flag("--a-command", None, metavar="COMMAND", help="brings the service into the state of A")
    b_command: str | None = flag("--b-command", None, metavar="COMMAND", help="brings the service into the state of B")
    command_timeout: float = flag(
        "--command-timeout", 120.0, parse=parse_positive_duration, help="longest time that such a command takes"
    )
    health: str = flag(
        "--health",
        "",
        metavar="PATH",
        help="path that answers 2xx when the service is up (default: any below 500 at /)",
    )
    health_timeout: float = flag(
        "--health-timeout", 60.0, parse=parse_positive_duration, help="longest time until the service is up"
    )


@dataclass(frozen=True, slots=True)
class GateRuns:
    """What a gate runs and compares with."""

    baseline: str = flag("--baseline", "main", metavar="NAME", help="the stored runs to compare with")
    repeat: int = flag("--repeat", REPEAT, minimum=1, help="runs of each test")
    undecided: str = flag(
        "--cannot-tell",
        "fail",
        choices=("fail", "pass"),
        help=f"whether what nothing is proved about ends with {ExitCode.UNDECIDED.value} or with 0",
    )
    url: str | None = flag("--url", None, metavar="URL", help="the service under test, instead of the file's base_url")
    labels: tuple[tuple[str, str], ...] = flag(
        "--label", (), repeat=True, parse=parse_label, metavar="NAME=VALUE", help="label of the runs (may be repeated)"
    )


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is calibrated, and for how long."""

    seconds: float = flag(
        "--seconds", 5.0, parse=parse_positive, metavar="S", help="length of each of the two measurements, in seconds"
    )
    noise: Path | None = flag(
        "--noise", None, parse=Path, help="measure how much runs of this file's test differ on this machine instead"
    )
    runs: int = flag("--runs", _NOISE_RUNS, minimum=LEAST_RUNS, help="runs of that test")
    url: str | None = flag("--url", None, metavar="URL", help="the service under test, instead of the file's base_url")


def describe_compare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare` that flags cannot be."""
    named = "a JSON report, a stored run (its id, latest, latest~1), or baseline:NAME"
    parser.add_argument("base_run", nargs="?", metavar="BASE", help=f"the baseline: {named}")
    parser.add_argument("new_run", nargs="?", metavar="NEW", help="what is judged: the same")
    parser.add_argument("--base", nargs="+", default=[], metavar="RUN", help="several runs of the baseline")
    parser.add_argument("--new", nargs="+", default=[], metavar="RUN", help="several runs to judge")


def describe_ab(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ab` that flags cannot be."""
    parser.add_argument("url_a", metavar="A", help="address of the service as it was")
    parser.add_argument(
        "rest", nargs="*", metavar="B FILE", help="address with the change, and a YAML file with load_tests"
    )


def run_compare(arguments: argparse.Namespace, _: Choose) -> ExitCode:
    """Compare runs that are there."""
    base, new = [*arguments.base], [*arguments.new]
    pair = [one for one in (arguments.base_run, arguments.new_run) if one is not None]
    if pair and (base or new):
        raise ConfigError("give either BASE NEW, or --base and --new with their runs")
    if pair:
        base, new = pair[:1], pair[1:]
    if not base or not new:
        raise ConfigError("give the runs of both sides: BASE NEW, or --base RUN … --new RUN …")
    return compare_named(base, new, _options(arguments))


def run_ab(arguments: argparse.Namespace, choose: Choose) -> ExitCode:
    """Run one test against two builds."""
    sides = read_flags(Sides, arguments)
    urls, arguments.file = _addresses(arguments, sides)
    config, other = (_one(choose(arguments, url)) for url in urls)
    commands = {BASE: sides.a_command, NEW: sides.b_command}
    plan = Plan(
        urls=(config.base_url, other.base_url),
        rounds=sides.rounds,
        seed=secrets.randbelow(_SEEDS) if sides.seed is None else sides.seed,
        commands=Commands({side: command for side, command in commands.items() if command}, sides.command_timeout),
        health=Health(sides.health, sides.health_timeout, verify=config.tls.verify),
    )
    options = _options(arguments)
    return uvloop.run(ab(config, plan, options, Memory(keeping_of(options.store, KEEP_ALL))))


def run_gate(arguments: argparse.Namespace, choose: Choose) -> ExitCode:
    """Run the tests of a file and compare them with a baseline."""
    runs = read_flags(GateRuns, arguments)
    options = _options(arguments)
    plan = GatePlan(runs.baseline, runs.repeat, undecided_is_ok=runs.undecided == "pass")
    return uvloop.run(
        gate(
            choose(arguments, runs.url), plan, options, keeping_of(options.store, replace(KEEP_ALL, labels=runs.labels))
        )
    )


def run_calibrate(arguments: argparse.Namespace, choose: Choose) -> ExitCode:
    """Measure what this machine can generate, or how much runs of a test differ on it."""
    flags = read_flags(Measurement, arguments)
    if flags.noise is not None:
        arguments.file = flags.noise
        test = _one(choose(arguments, flags.url))
        certificate = uvloop.run(measure_noise(test, flags.runs))
        path = write_certificate(certificate)
        return _show([*noise_lines(certificate), f"written to {path}: `compare`, `ab` and `gate` know it"])
    measured = uvloop.run(calibrate(flags.seconds))
    write_calibration(measured)
    lag = (measured.start_lag_p50_seconds, measured.start_lag_p99_seconds)
    p50, p99 = (quantity(value, "seconds") for value in lag)
    return _show(
        [
            f"{measured.requests_per_cpu_second:.0f} requests per CPU-second at most",
            f"starts late by {p50} (p50), {p99} (p99)",
            f"written to {calibration_path()} for every report of this machine",
        ]
    )


def noise_lines(certificate: Certificate) -> list[str]:
    """Return a certificate as a table: what runs differ by, and how fine a gate can be."""
    heads = [f"finest gate, {runs} run{'s' if runs > 1 else ''} a side" for runs in _SHOWN_RUNS]
    lines = [
        f"{certificate.test}: the noise of this machine, over {certificate.runs} runs",
        f"| endpoint | measure | level | spread | {' | '.join(heads)} |",
        f"|---|---|---:|---:|{'---:|' * len(heads)}",
    ]
    for row in certificate.rows:
        finest = (f"{math.expm1(row.finest(runs, runs)):.1%}" for runs in _SHOWN_RUNS)
        level = f"{row.level:.4g}/s" if row.measure == "rate" else quantity(row.level, "seconds", 4)
        lines.append(f"| {row.endpoint} | {row.measure} | {level} | {row.spread_ratio:.1%} | {' | '.join(finest)} |")
    return lines


def _addresses(arguments: argparse.Namespace, sides: Sides) -> tuple[tuple[str, str], Path | None]:
    """Return both addresses and the file: `A B [FILE]`, or `A [FILE]` with the commands that switch A."""
    switched = sides.a_command is not None or sides.b_command is not None
    if switched and (sides.a_command is None or sides.b_command is None):
        raise ConfigError("--a-command and --b-command go together: each run begins with that of its side")
    most = 1 if switched else 2
    rest: list[str] = arguments.rest
    if len(rest) > most or (not switched and not rest):
        raise ConfigError("give A B [FILE], or A [FILE] with --a-command and --b-command that switch it")
    url_b = arguments.url_a if switched else rest[0]
    names = rest if switched else rest[1:]
    return (arguments.url_a, url_b), Path(names[0]) if names else None


def _one(tests: Sequence[LoadTestConfig]) -> LoadTestConfig:
    if len(tests) != 1:
        names = ", ".join(test.name for test in tests)
        raise ConfigError(f"the file holds {len(tests)} tests ({names}): choose one with --test")
    return tests[0]


def _options(arguments: argparse.Namespace) -> Options:
    flags, reports = read_flags(GateFlags, arguments), read_flags(ComparisonReports, arguments)
    files = {kind.name: path for kind in fields(reports) if (path := getattr(reports, kind.name)) is not None}
    store = read_flags(StoreFlags, arguments)
    return Options(flags.min_effect, tuple(flags.measures.split(",")), flags.force, files, store)


def _show(lines: Sequence[str]) -> ExitCode:
    for line in lines:
        show(line)
    return ExitCode.OK
