"""Fuzz the parser of textfiles: no crash, no hang, and prometheus_client reads what is exported, sample for sample.

    python benchmarks/fuzz_textfile.py [--seconds 60] [--engine atheris|random] [--seed 1]

With atheris (coverage-guided; `pip install atheris` brings it for the Pythons that it has wheels for) the fuzzer learns
which bytes lead further; without it the same checks run on random changes of valid files. Exit code 1: an input broke a
rule, and is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.collectors.textfile_format import Parser
from perfloop_exporter.errors import CollectorError

LONGEST_SECONDS = 2.0
LONGEST_INPUT = 4096
SEEDS = (
    b'# HELP a What it is, with \\\\ and \\n.\n# TYPE a counter\na{b="x y\\"z\\n", c = "1" ,} +1.5e-3\n',
    b'# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n',
    b'a{b=""}\tNaN\nb_total -Inf\n\n# a comment\n',
    'a{b="é\u2028"} .5\r\n# TYPE s summary\ns{quantile="0.5"} 1\n'.encode(),
)
TOKENS = (
    b"{",
    b"}",
    b",",
    b'"',
    b"\\",
    b"=",
    b" ",
    b"\n",
    b"\r",
    b"\0",
    b"# TYPE ",
    b"# HELP ",
    b"NaN",
    b"+Inf",
    b"\xff",
    b"1e9",
)


class BrokenRuleError(Exception):
    """What was exported is not what prometheus_client reads."""


def check(data: bytes) -> bool:
    """Parse one file; return whether it was accepted.

    Raises:
        BrokenRuleError: It was accepted, and the export cannot be read back, or the parsing took too long.
    """
    begin = time.perf_counter()
    try:
        families = Parser().read(data[:LONGEST_INPUT].decode())
    except (UnicodeDecodeError, CollectorError):
        families = None
    if time.perf_counter() - begin > LONGEST_SECONDS:
        raise BrokenRuleError("too slow")
    if families is None:
        return False
    page = "".join(f"# TYPE {one.name} {one.kind or 'untyped'}\n{''.join(one.lines)}" for one in families.values())
    try:
        found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    except ValueError as error:
        raise BrokenRuleError(f"prometheus_client refuses the export: {error}") from error
    if len(found) != sum(len(one.lines) for one in families.values()):
        raise BrokenRuleError("prometheus_client reads another number of samples")
    return True


def changed(chance: random.Random) -> bytes:
    """Return a valid file with some random changes."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 3))))
    for _ in range(chance.randint(0, 6)):
        place = chance.randrange(len(data) + 1)
        data[place : place + chance.randint(0, 3)] = chance.choice((*TOKENS, bytes([chance.randrange(256)])))
    return bytes(data)


def fuzz_randomly(seconds: float, seed: int) -> int:
    """Check random changes of the seeds for some seconds; return 1 when a rule is broken."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    inputs = accepted = 0
    while time.monotonic() < end:
        data = changed(chance)
        try:
            accepted += check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the input is printed
            print(f"broken by {data!r}: {error!r}")
            return 1
        inputs += 1
    print(f"{inputs} inputs, {accepted} accepted, no rule broken (random changes, seed {seed})")
    return 0


def fuzz_with_atheris(seconds: float, seed: int) -> int:
    """Run this file again under atheris, which ends its process; return 1 when a rule is broken."""
    command = [sys.executable, __file__, "--inside", f"--seconds={seconds}", f"--seed={seed}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    kept = [line for line in lines if line.startswith(("stat::number_of", "Done "))]
    print("\n".join(kept if not done.returncode else lines[-30:]))
    print("a rule is broken" if done.returncode else "no rule broken (atheris)")
    return 1 if done.returncode else 0


def run_inside(seconds: float, seed: int) -> None:
    """Fuzz in this process until the time is over or a rule is broken."""
    import atheris

    atheris.instrument_func(Parser.read)
    for name in ("_comment", "_sample", "_owner"):
        atheris.instrument_func(getattr(Parser, name))
    atheris.enabled_hooks.add("RegEx")
    flags = [f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-max_len={LONGEST_INPUT}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags], check)
    atheris.Fuzz()


def main() -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--engine", choices=("atheris", "random"), default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        run_inside(asked.seconds, asked.seed)
        return 0
    has_atheris = importlib.util.find_spec("atheris") is not None
    if asked.engine == "atheris" and not has_atheris:
        raise SystemExit("atheris is not installed: pip install atheris")
    if not has_atheris and asked.engine is None:
        print("atheris is not installed (pip install atheris): random changes instead")
    fuzz = fuzz_randomly if asked.engine == "random" or not has_atheris else fuzz_with_atheris
    return fuzz(asked.seconds, asked.seed)


if __name__ == "__main__":
    sys.exit(main())
