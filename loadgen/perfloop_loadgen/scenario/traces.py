"""Traces of real services: when each request came, and how long its prompt and its answer were.

Read are tables (CSV with a header) and JSON Lines, also as .gz, with the columns of the public traces: Azure's LLM
inference traces of 2023 and 2024 (TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT (Timestamp, Request tokens,
Response tokens), Mooncake (timestamp, input_length, output_length, hash_ids).
"""

from __future__ import annotations

import csv
import gzip
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count, islice
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import orjson

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.config.load import TraceConfig

# The names under which a pass gets what its request had in the trace; the first two are also for ${…}.
INPUT_TOKENS = "input_tokens"
OUTPUT_TOKENS = "output_tokens"
HASH_IDS = "hash_ids"
BLOCK_TOKENS = "block_tokens"

_TIMES = ("timestamp",)
_INPUTS = ("contexttokens", "request tokens", "input_length", "input_tokens", "prompt_tokens")
_OUTPUTS = ("generatedtokens", "response tokens", "output_length", "output_tokens", "completion_tokens")
# Above all public traces of a day; a longer one is replayed by windows.
MOST_REQUESTS = 5_000_000
_MOST_PROBLEMS = 10
_MOST_TOKENS = 100_000_000
_MILLISECONDS = 1000.0
# Traces are in the order of time but for a little: this long after the end of the window nothing of it comes any more.
_DISORDER_SECONDS = 60.0
_LARGEST_BLOCK_ID = 2**64


class _Row(NamedTuple):
    seconds: float
    inputs: int
    outputs: int
    blocks: Sequence[int]


@dataclass(slots=True)
class Trace:
    """The requests of a window, in the order of time.

    Attributes:
        seconds: when each came, since the beginning of the window, in the trace's own time.
        inputs: the tokens of each prompt.
        outputs: the tokens of each answer.
        blocks: the ids of each prompt's blocks, from its beginning; empty where the trace has none.
    """

    seconds: array[float] = field(default_factory=lambda: array("d"))
    inputs: array[int] = field(default_factory=lambda: array("L"))
    outputs: array[int] = field(default_factory=lambda: array("L"))
    blocks: list[Sequence[int]] = field(default_factory=list)

    def values(self, block_tokens: int, index: int, of: int) -> Iterator[Mapping[str, Any]]:
        """Yield what every `of`-th request had, from `index`: the share of one worker of several."""
        for number in islice(count(index, of), max(0, -(-(len(self.seconds) - index) // of))):
            # A failed request of a trace has no tokens; an API takes no such number.
            values: dict[str, Any] = {
                INPUT_TOKENS: max(1, self.inputs[number]),
                OUTPUT_TOKENS: max(1, self.outputs[number]),
            }
            if self.blocks:
                values |= {HASH_IDS: self.blocks[number], BLOCK_TOKENS: block_tokens}
            yield values


def tokens_in(values: Mapping[str, Any], name: str) -> int | None:
    """Return a length that a pass has: of its trace, or of a data column of that name; None where it has none.

    Raises:
        ConfigError: the column holds something else.
    """
    value = values.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return max(1, _tokens(value))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def read_trace(config: TraceConfig) -> Trace:
    """Return the requests of the window that the section names.

    Raises:
        ConfigError: the file cannot be read, is no trace, or has no request in the window, or too many.
    """
    try:
        changed = config.file.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{_what(config.file)}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    return _read(config.file, changed, config.timestamp_unit, config.start_seconds, config.end_seconds)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int, unit: str | None, start: float, end: float | None) -> Trace:
    """Read a file; kept, since the schedule, the workers' data and the verdict each ask for it."""
    del changed
    what = _what(path)
    try:
        with _open(path) as file:
            trace = _collect(what, _rows(what, file, unit), start, float("inf") if end is None else end)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{what}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not trace.seconds:
        raise ConfigError(
            f"{what}: has no requests between {start:g} s and {'its end' if end is None else f'{end:g} s'}"
        )
    return _sorted(trace)


def _what(path: Path) -> str:
    return f"load.file: {path}"


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _collect(what: str, rows: Iterator[_Row], start: float, end: float) -> Trace:
    trace = Trace()
    zero: float | None = None
    for row in rows:
        zero = row.seconds if zero is None else zero
        since = max(0.0, row.seconds - zero)
        if since > end + _DISORDER_SECONDS:
            break
        if not start <= since < end:
            continue
        if len(trace.seconds) == MOST_REQUESTS:
            raise ConfigError(f"{what}: has more than {MOST_REQUESTS} requests: choose start_seconds and end_seconds")
        trace.seconds.append(since - start)
        trace.inputs.append(row.inputs)
        trace.outputs.append(row.outputs)
        if row.blocks or trace.blocks:
            trace.blocks += [()] * (len(trace.seconds) - 1 - len(trace.blocks))
            trace.blocks.append(row.blocks)
    return trace


def _sorted(trace: Trace) -> Trace:
    seconds = trace.seconds
    order = sorted(range(len(seconds)), key=seconds.__getitem__)
    if order == list(range(len(seconds))):
        return trace
    return Trace(
        array("d", (seconds[at] for at in order)),
        array("L", (trace.inputs[at] for at in order)),
        array("L", (trace.outputs[at] for at in order)),
        [trace.blocks[at] for at in order] if trace.blocks else [],
    )


def _rows(what: str, file: IO[str], unit: str | None) -> Iterator[_Row]:
    first = file.readline()
    if first.lstrip().startswith("{"):
        yield from _json_rows(what, file, first, 1 / _MILLISECONDS if unit in {None, "ms"} else 1.0)
    else:
        yield from _table_rows(what, file, first, 1 / _MILLISECONDS if unit == "ms" else 1.0)


def _json_rows(what: str, file: IO[str], first: str, scale: float) -> Iterator[_Row]:
    problems: list[str] = []
    number = 0
    line = first
    while line:
        number += 1
        if line.strip():
            try:
                yield _json_row(orjson.loads(line), scale)
            except ValueError as error:
                _add_problem(problems, f"{what}:{number}: {error}")
        line = file.readline()
    if problems:
        raise ConfigError(problems)


def _json_row(value: Any, scale: float) -> _Row:
    if not isinstance(value, dict):
        raise ValueError("must be an object")  # noqa: TRY004 - a line of the file, not an argument
    fields = {name.lower(): part for name, part in value.items()}
    time, inputs, outputs = (_named(fields, names) for names in (_TIMES, _INPUTS, _OUTPUTS))
    blocks = fields.get("hash_ids") or ()
    if not all(isinstance(block, int) and 0 <= block < _LARGEST_BLOCK_ID for block in blocks):
        raise ValueError("hash_ids must be a list of whole numbers")
    return _Row(_seconds(time, scale), _tokens(inputs), _tokens(outputs), array("Q", blocks) if blocks else ())


def _table_rows(what: str, file: IO[str], first: str, scale: float) -> Iterator[_Row]:
    delimiter = ";" if first.count(";") > first.count(",") else ","
    header = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
    at_time, at_input, at_output = (_column(what, header, names) for names in (_TIMES, _INPUTS, _OUTPUTS))
    problems: list[str] = []
    reader = csv.reader(file, delimiter=delimiter)
    for cells in reader:
        if not cells:
            continue
        try:
            yield _Row(_seconds(cells[at_time], scale), _tokens(cells[at_input]), _tokens(cells[at_output]), ())
        except (IndexError, ValueError) as error:
            reason = "has too few columns" if isinstance(error, IndexError) else str(error)
            _add_problem(problems, f"{what}:{reader.line_num + 1}: {reason}")
    if problems:
        raise ConfigError(problems)


def _add_problem(problems: list[str], problem: str) -> None:
    problems.append(problem)
    if len(problems) == _MOST_PROBLEMS:
        raise ConfigError(problems)


def _column(what: str, header: Sequence[str], names: Sequence[str]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise ConfigError(f"{what}: is no trace: its first line has none of the columns {', '.join(names)}")


def _named(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in fields:
            return fields[name]
    raise ValueError(f"has none of {', '.join(names)}")


def _seconds(value: Any, scale: float) -> float:
    """Return a moment in seconds: of a number, or of a date and time (UTC unless it says otherwise)."""
    # A date is known by its first hyphen: to try it as a number would double the time that a long trace takes.
    is_date = isinstance(value, str) and value[4:5] == "-"
    try:
        if is_date:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        seconds = float(value) * scale
    except (TypeError, ValueError):
        raise ValueError(f"the timestamp {str(value)[:40]!r} is neither a number nor a date") from None
    if not abs(seconds) < float("inf"):
        raise ValueError(f"the timestamp {value!r} is no moment")
    return seconds


def _tokens(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < len(str(_MOST_TOKENS)):
        return int(value)
    try:
        tokens = int(float(value))
    except (TypeError, ValueError, OverflowError):
        tokens = -1
    if not 0 <= tokens <= _MOST_TOKENS:
        raise ValueError(f"{str(value)[:40]!r} is no number of tokens")
    return tokens
