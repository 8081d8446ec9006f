"""What fills a test's requests, checked before the first is sent: the environment, data columns, extracted values."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import register
from perfloop_loadgen.config.addresses import is_http, parse_service_url
from perfloop_loadgen.config.placeholders import fill_environment, names_in, starts_raw
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.scenario.feeder import columns_of
from perfloop_loadgen.scenario.template import fill_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig

# What every pass has, whatever its data.
ITERATION = "iteration"
_MOST_PROBLEMS = 10
_MOST_KNOWN = 20


def filled_from_environment(config: LoadTestConfig, environ: Mapping[str, str] = os.environ) -> LoadTestConfig:
    """Return the test with every `${env:NAME}` of its requests filled; no message shows such a value from now on.

    The configuration itself, which reports show, keeps the placeholders.

    Raises:
        ConfigError: with every variable that is not set.
    """
    wanted = variables_of(config)
    missing = [name for name in wanted if name not in environ]
    if missing:
        raise ConfigError([f"${{env:{name}}}: the environment has no variable {name}" for name in missing])
    if not wanted:
        return config
    for name in wanted:
        register(environ[name])
    update: dict[str, Any] = {
        "scenarios": [
            scenario.model_copy(update={"steps": [_filled(step, environ) for step in scenario.steps]})
            for scenario in config.scenarios
        ]
    }
    if config.requested:  # to name them is to ask for them
        update["endpoints"] = [_filled(endpoint, environ) for endpoint in config.requested]
    return config.model_copy(update=update)


def variables_of(config: LoadTestConfig) -> list[str]:
    """Return the variables of the environment that fill the test's requests, by name."""
    return sorted(
        {name for _, endpoint in _requests(config) for kind, name in names_in(parts_of(endpoint)) if kind == "env"}
    )


def check_names(config: LoadTestConfig, rows: Sequence[Mapping[str, Any]], more: Sequence[str] = ()) -> None:
    """Check that every `${name}` has a value by the time that it is needed.

    Args:
        config: the test.
        rows: its data.
        more: names that passes have besides the columns.

    Raises:
        ConfigError: with every placeholder that has none, and every row whose path is none.
    """
    named = columns_of(rows)
    columns = named | {ITERATION, *more}
    gaps = _gaps(rows, named)
    problems: list[str] = []
    extracted: dict[int, set[str]] = {}
    for (scenario, where), endpoint in _requests(config):
        known = columns | extracted.setdefault(scenario, set())
        # Each name once: a body may have it a hundred times.
        names = dict.fromkeys(name for kind, name in names_in(parts_of(endpoint)) if kind != "env")
        problems += (f"{where}: {_unknown(name, known, config)}" for name in names if name not in known)
        problems += (
            f"{where}: ${{{name}}}: row {gaps[name]} of {config.data_file} has no {name}"
            for name in names
            if name in gaps and name not in extracted[scenario]
        )
        extracted[scenario].update(getattr(endpoint, "extract", ()))
        if not problems and rows:
            check = _bad_paths if starts_raw(endpoint.path) else _quoted_paths
            problems += check(config, where, endpoint.path, rows)
    if len(problems) > _MOST_PROBLEMS:
        problems = [*problems[:_MOST_PROBLEMS], f"… and {len(problems) - _MOST_PROBLEMS} more of the kind"]
    if problems:
        raise ConfigError([shown(problem) for problem in problems])


def parts_of(endpoint: EndpointConfig) -> dict[str, Any]:
    """Return the parts of a request that are filled, by their keys."""
    parts: dict[str, Any] = {
        "path": endpoint.path,
        "headers": endpoint.headers,
        "data": endpoint.data,
        "form": endpoint.form,
        "multipart": {name: [part.model_dump() for part in many] for name, many in endpoint.multipart.items()},
    }
    return parts if endpoint.llm is None else parts | {"body": endpoint.llm.body, "system": endpoint.llm.system}


def _requests(config: LoadTestConfig) -> Iterator[tuple[tuple[int, str], EndpointConfig]]:
    """Yield each request with the number of its scenario, -1 for endpoints, and where it stands in the file."""
    for index, endpoint in enumerate(config.requested):
        # No endpoint has what another one extracted.
        yield (-1, f"endpoints[{index}] ({endpoint.label})"), endpoint
    for number, scenario in enumerate(config.scenarios):
        for index, step in enumerate(scenario.steps):
            yield (number, f"scenarios[{number}].steps[{index}] ({step.label})"), step


def _filled(endpoint: EndpointConfig, environ: Mapping[str, str]) -> Any:
    update: dict[str, Any] = {
        "name": endpoint.label,
        "path": fill_environment(endpoint.path, environ, in_path=True),
        "headers": fill_environment(endpoint.headers, environ),
        "data": fill_environment(endpoint.data, environ),
        "form": fill_environment(endpoint.form, environ),
        "multipart": {
            name: [part.model_copy(update=fill_environment(part.model_dump(), environ)) for part in many]
            for name, many in endpoint.multipart.items()
        },
    }
    if endpoint.llm is not None:
        llm = {key: fill_environment(getattr(endpoint.llm, key), environ) for key in ("body", "system")}
        update["llm"] = endpoint.llm.model_copy(update=llm)
    return endpoint.model_copy(update=update)


def _unknown(name: str, known: set[str], config: LoadTestConfig) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    source = f"no column of {config.data_file}" if config.data_file else "no data column"
    if near:
        return f"${{{name}}}: {source} and no extract before it has this name, did you mean {near[0]}?"
    listed = ", ".join(sorted(known)[:_MOST_KNOWN])
    return (
        f"${{{name}}}: {source} and no extract before it has this name; known: {listed}; "
        f"${{env:{name}}} is a variable of the environment, $${{{name}}} the text itself"
    )


def _gaps(rows: Sequence[Mapping[str, Any]], columns: set[str]) -> dict[str, int]:
    """Return the first row that lacks a column, by the column: objects of JSON need not have the same keys."""
    gaps: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            for name in columns - row.keys():
                gaps.setdefault(name, number)
    return gaps


def _bad_paths(config: LoadTestConfig, where: str, path: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each row of data that makes no path of the service."""
    base = parse_service_url(config.base_url)
    names = [name for _, name in names_in(path)]
    if not set(names) <= columns_of(rows):
        return  # it also holds what is known in a pass only
    found = 0
    for number, row in enumerate(rows, 1):
        if str(row.get(names[0])).startswith("/"):
            continue
        try:
            fill_path(path, row, base)
        except ConfigError as error:
            found += 1
            yield f"{where}: row {number} of {config.data_file}: {error}"
            if found == _MOST_PROBLEMS:
                return


def _quoted_paths(config: LoadTestConfig, where: str, path: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for a row whose whole path would be quoted as if it were one part of a path."""
    names = [name for kind, name in names_in(path) if not kind]
    if len(names) != 1 or path != f"/${{{names[0]}}}":
        return
    for number, row in enumerate(rows, 1):
        value = str(row.get(names[0], ""))
        if value.startswith("/") or is_http(value):
            sent = fill_path(path, row)
            yield (
                f"{where}: row {number} of {config.data_file}: {value!r} would be sent as {sent}: "
                f"a whole path is ${{raw:{names[0]}}}"
            )
            return
