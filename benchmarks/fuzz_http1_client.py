"""Fuzz the load generator's HTTP/1.1 client: no crash, no hang, no growth, one reading for every cut, h11's opinion.

    python benchmarks/fuzz_http1_client.py [--seconds 60] [--engine atheris|random] [--keep DIRECTORY]

With atheris (coverage-guided; `pip install atheris` brings it for the Pythons that it has wheels for) the fuzzer learns
which bytes lead further. Without it the same checks run on random changes of known answers. Each input is read whole,
cut at places that the input itself chooses, and as a stream of events. Exit code 1: an input broke a rule; it is
printed, and kept in the directory.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from perfloop_loadgen.samples.streams import StreamMeter
from perfloop_loadgen.streaming.events import EventReader
from tests.support.http1_oracle import cut, read, read_by_h11

# One input must not take longer than this, nor the process grow by more than that.
LONGEST_SECONDS = 2.0
MOST_MEMORY_MIB = 512
LONGEST_INPUT = 16_384

SEEDS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\nConnection: keep-alive\r\n\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\nX: a\r\n b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n\x81\x05hello",
    b'data: {"choices": [{"delta": {"content": "x"}}]}\r\n\r\n: comment\n\ndata: [DONE]\n\n{"a": 1}\n',
)


class BrokenRuleError(Exception):
    """An input was read differently by its cut, or otherwise than h11 reads it."""


def check(data: bytes) -> None:
    """Read one input in every way; its first two bytes choose the cuts.

    Raises:
        BrokenRuleError: two readings differ.
    """
    chance = random.Random(data[:2])
    answer = data[2 : LONGEST_INPUT + 2]
    cuts = [chance.randrange(len(answer) + 1) for _ in range(8)]
    for closed in (False, True):
        whole = read([answer], closed=closed)
        for places in (cuts, range(min(len(answer), 2000))):
            if (found := read(cut(answer, places), closed=closed)) != whole:
                raise BrokenRuleError(f"whole {whole}, in pieces {found}")
    theirs = read_by_h11(answer)
    accepted = not (whole.outcome or theirs.outcome) and whole.is_whole and theirs.is_whole
    if accepted and whole.status != 101 and (whole.status, whole.body) != (theirs.status, theirs.body):
        raise BrokenRuleError(f"ours {whole}, h11's {theirs}")
    events = set()
    for pieces in ([answer], cut(answer, cuts)):
        meter, reader = StreamMeter(), EventReader()
        read_events = [event for piece in pieces if meter.feed(piece, 1) for event in reader.feed(piece)]
        events.add((*read_events, *reader.end(), meter.end(1)))
    if len(events) > 1:
        raise BrokenRuleError(f"events {events}")


def change(chance: random.Random, data: bytes) -> bytes:
    """Return the input with a few random changes: bytes, parts of other inputs, repetitions."""
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.randint(0, 8))
        other = chance.choice(SEEDS)
        begin = chance.randrange(len(other))
        new = chance.choice(
            (
                chance.randbytes(chance.randint(0, 4)),
                other[begin : begin + chance.randint(1, 40)],
                (data[place:end] or b"x") * chance.choice((1, 2, 20, 2000)),
                chance.choice((b"\r\n", b"\n", b"\r", b"\0", b":", b"0\r\n\r\n", b"9" * 30, b"9" * 5000, b"\n\r")),
            )
        )
        data = data[:place] + new + data[end:]
    return data[: LONGEST_INPUT + 2]


def run_random(seconds: float, keep: Path) -> int:
    """Check random changes of the seeds until the time is over; return the exit code."""
    chance = random.Random(int(time.time()))
    pool = [b"\0\0" + seed for seed in SEEDS]
    until, done, memory = time.monotonic() + seconds, 0, _peak_mib()
    while time.monotonic() < until:
        data = change(chance, chance.choice(pool))
        began = time.monotonic()
        try:
            check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return _report(keep, data, f"{type(error).__name__}: {error}")
        if time.monotonic() - began > LONGEST_SECONDS:
            return _report(keep, data, f"took {time.monotonic() - began:.1f} s")
        if len(pool) < 2000 and chance.random() < 0.02:
            pool.append(data)
        done += 1
    growth = _peak_mib() - memory
    print(f"{done} inputs in {seconds:g} s, memory grew by {growth:.0f} MiB at most, nothing found")
    return int(growth > MOST_MEMORY_MIB)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _report(keep: Path, data: bytes, reason: str) -> int:
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / "found"
    path.write_bytes(data)
    print(f"{reason}\ninput: {data!r}\nkept in {path}")
    return 1


def run_atheris(seconds: int, keep: Path) -> int:
    """Run atheris in a process of its own, whose exit codes are libFuzzer's; return ours."""
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS):
            Path(corpus, str(number)).write_bytes(b"\0\0" + seed)
        command = [sys.executable, __file__, "--engine", "child", f"-max_total_time={seconds}"]
        command += [f"-timeout={LONGEST_SECONDS:.0f}", f"-rss_limit_mb={MOST_MEMORY_MIB}", f"-max_len={LONGEST_INPUT}"]
        command += [f"-artifact_prefix={keep}/", "-print_final_stats=1", corpus]
        # libFuzzer ends by itself; if it does not, it hangs, and that is a finding too.
        try:
            code = subprocess.run(command, check=False, timeout=seconds + 60).returncode
        except subprocess.TimeoutExpired:
            print("the fuzzer itself did not end")
            return 1
    print("nothing found" if code == 0 else f"libFuzzer's exit code {code}: the input is kept in {keep}")
    return int(code != 0)


def run_child(arguments: list[str]) -> None:
    """Be the process that atheris instruments."""
    import atheris

    with atheris.instrument_imports(include=["perfloop_loadgen.engines.http1", "perfloop_loadgen.samples.streams"]):
        for name in [name for name in sys.modules if name.startswith("perfloop_loadgen.")]:
            del sys.modules[name]
        for name in ("perfloop_loadgen.engines.http1.message", "perfloop_loadgen.samples.streams"):
            importlib.import_module(name)
        from tests.support import http1_oracle

    # The modules at the top of this file were loaded without instruments.
    importlib.reload(http1_oracle)
    globals().update(read=http1_oracle.read, StreamMeter=sys.modules["perfloop_loadgen.samples.streams"].StreamMeter)
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def main() -> int:
    """Fuzz and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--engine", choices=("atheris", "random", "child"))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "perfloop-fuzz-http1")
    options, further = parser.parse_known_args()
    if options.engine == "child":
        run_child(further)
        return 0
    if further:
        parser.error(f"unknown: {' '.join(further)}")
    has_atheris = importlib.util.find_spec("atheris") is not None
    if options.engine == "atheris" and not has_atheris:
        sys.exit("atheris is not installed: pip install atheris")
    if options.engine == "atheris" or (options.engine is None and has_atheris):
        return run_atheris(options.seconds, options.keep)
    if options.engine is None:
        print("atheris is not installed (pip install atheris): random changes instead, without coverage")
    return run_random(options.seconds, options.keep)


if __name__ == "__main__":
    sys.exit(main())
