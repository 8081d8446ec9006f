"""What of a test travels to the workers of another machine: its files, and the variables that fill its requests.

A worker's process runs in a directory of its own. Every file that the test names is put there under a name of its own;
files whose names come from the data are put where those names lead, from the directory on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_base.visible import brief
from perfloop_loadgen.app.filling import variables_of
from perfloop_loadgen.config.placeholders import fill_environment, names_in
from perfloop_loadgen.scenario.feeder import columns_of, read_rows
from perfloop_loadgen.scenario.template import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_loadgen.config import LoadTestConfig

_TLS = ("ca_file", "cert_file", "key_file", "key_password_file")
_LENGTHS = ("prompt_words", "prompt_tokens", "max_tokens", "max_completion_tokens")
_MOST_BYTES = 512 * 1024 * 1024


@dataclass(slots=True)
class Baggage:
    """Files by their name in the worker's directory, and variables by theirs; neither is ever shown."""

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    _named: dict[str, str] = field(default_factory=dict, repr=False)
    _bytes: int = 0

    def take(self, path: str, key: str) -> str:
        """Take a file along, and return its name on the worker.

        Raises:
            ConfigError: it cannot be read.
        """
        if path not in self._named:
            name = f"files/{len(self._named)}/{Path(path).name}"
            self.put(name, path, key)
            self._named[path] = name
        return self._named[path]

    def put(self, name: str, path: str, key: str) -> None:
        """Take a file along under a name.

        Raises:
            ConfigError: it cannot be read, or all files together are too large to be sent about.
        """
        if name in self.files:
            return
        try:
            self.files[name] = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"{key}: {path}: cannot be read: {why}") from error
        self._bytes += len(self.files[name])
        if self._bytes > _MOST_BYTES:
            limit = f"{_MOST_BYTES // 2**20} MiB"
            raise ConfigError(f"{key}: {path}: the files of the test have more than {limit}, the most that travels")


def pack(test: LoadTestConfig, config: Mapping[str, Any]) -> tuple[dict[str, Any], Baggage]:
    """Return the test as a worker of another machine gets it, and what it needs there.

    Args:
        test: the test.
        config: the same as plain values.

    Raises:
        ConfigError: with every file that cannot travel.
    """
    baggage = Baggage(environment={name: os.environ[name] for name in variables_of(test)})
    problems: list[str] = []
    packed = dict(config)

    def take(section: dict[str, Any], name: str, key: str) -> None:
        if section.get(name):
            with _collecting(problems):
                section[name] = baggage.take(section[name], key)

    take(packed, "data_file", "data_file")
    for name, names in (("load", ("file",)), ("tls", _TLS)):
        if packed.get(name):
            packed[name] = section = dict(packed[name])
            for one in names:
                take(section, one, f"{name}.{one}")
    packed["scenarios"] = [_packed_scenario(scenario, take) for scenario in packed.get("scenarios", ())]
    if "endpoints" in packed:
        packed["endpoints"] = [_packed_request(endpoint, take) for endpoint in packed["endpoints"]]
    with _collecting(problems):
        _take_named_by_data(test, baggage)
    if problems:
        raise ConfigError(problems)
    return packed, baggage


class _collecting:  # noqa: N801 - used as a statement
    """Keeps the problems of a block for later."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ConfigError):
            self._problems += error.problems
            return True
        return False


Take = Callable[[dict[str, Any], str, str], None]


def _packed_scenario(scenario: Mapping[str, Any], take: Take) -> dict[str, Any]:
    packed = dict(scenario)
    if packed.get("python"):
        file, _, function = packed["python"].rpartition(":")
        place = {"python": file}
        take(place, "python", "python")
        packed["python"] = f"{place['python']}:{function}"
    packed["steps"] = [_packed_request(step, take) for step in packed.get("steps", ())]
    return packed


def _packed_request(endpoint: Mapping[str, Any], take: Take) -> dict[str, Any]:
    packed = dict(endpoint)
    if packed.get("llm"):
        packed["llm"] = llm = dict(packed["llm"])
        take(llm, "prompts_file", "llm.prompts_file")
        for name in _LENGTHS:
            if isinstance(llm.get(name), dict):
                llm[name] = dict(llm[name])
                take(llm[name], "file", f"llm.{name}.file")
    packed["multipart"] = {
        name: [_packed_part(part, take) for part in parts] for name, parts in packed.get("multipart", {}).items()
    }
    return packed


def _packed_part(part: Mapping[str, Any], take: Take) -> dict[str, Any]:
    packed = dict(part)
    if packed.get("file") and not any(names_in(packed["file"])):
        take(packed, "file", "multipart")
    return packed


def _take_named_by_data(test: LoadTestConfig, baggage: Baggage) -> None:
    """Take along the files whose names have placeholders: every one that a row of the data names.

    Raises:
        ConfigError: a name is known only while the test runs, or leads out of the directory.
    """
    names = sorted(_names_by_data(test))
    if not names:
        return
    rows = read_rows(test.data_file) if test.data_file else [{}]
    columns = columns_of(rows)
    for name in names:
        unknown = [one for kind, one in names_in(name) if kind != "env" and one not in columns]
        if unknown:
            raise ConfigError(f"multipart: {name}: its name is known only while the test runs, so it cannot travel")
        open_name = fill_environment(name, os.environ)
        for path in dict.fromkeys(str(fill(open_name, row)) for row in rows):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ConfigError(
                    f"multipart: {name}: {brief(path)} does not lie below the current directory: a file that the data "
                    "names travels from there alone"
                )
            baggage.put(path, path, "multipart")


def _names_by_data(test: LoadTestConfig) -> Iterator[str]:
    steps = [step for scenario in test.scenarios for step in scenario.steps]
    for endpoint in (*test.requested, *steps):
        for parts in endpoint.multipart.values():
            yield from (part.file for part in parts if part.file and any(names_in(part.file)))
