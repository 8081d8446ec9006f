"""What cannot be made again, group by group, and where each file of it is.

Left out is what can: Prometheus's data (its own snapshots are for that), logs, generated passwords, and the messages of
the inbox. Dashboards that somebody made in Grafana are in Grafana's database; saved as files they are configuration.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop.stack.settings import Settings

ANALYZER, LOAD_TESTS, SILENCES, PROOFS, CONFIGURATION = (
    "analyzer",
    "load tests",
    "silences",
    "proofs",
    "configuration",
)
SECRETS = "secrets/"  # pragma: allowlist secret
ENVIRONMENT = ".env"  # it may hold passwords, so it goes with the secrets
DATABASES = frozenset({ANALYZER, LOAD_TESTS})
ANALYZER_FILE, SILENCES_FILE = "analyzer/analyzer.sqlite", "alertmanager/silences"
LOAD_TESTS_FILE = "loadgen/runs.db"
_CONFIGURED = ("prometheus", "alertmanager", "grafana", "demo")
_ENDINGS = frozenset({".yml", ".yaml", ".json", ".tmpl", ".md", ".txt"})
_COMPOSE = ("docker-compose.yml", "docker-compose.ha.yml", "docker-compose.scale.yml", "docker-compose.otlp.yml")


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its group, its name in the archive, and where it is."""

    group: str
    name: str
    path: Path


def find_contents(settings: Settings, *, in_docker: bool = False) -> Mapping[str, Sequence[Source]]:
    """Return the files of each group that has any.

    Args:
        settings: where the stack lives.
        in_docker: whether the analyzer's database and the silences are in containers: their files are not here then.
    """
    home = settings.home.absolute()
    found: list[Source] = []
    if in_docker:
        found += [Source(ANALYZER, ANALYZER_FILE, Path()), Source(SILENCES, f"{SILENCES_FILE}.json", Path())]
    else:
        found += [
            Source(ANALYZER, ANALYZER_FILE, home / ANALYZER_FILE),
            Source(SILENCES, SILENCES_FILE, home / SILENCES_FILE),
        ]
    found.append(Source(LOAD_TESTS, LOAD_TESTS_FILE, find_runs(home)))
    found += [Source(PROOFS, f"proofs/{name}", home / "proofs" / name) for name in _files(home / "proofs")]
    found += _find_configuration(settings)
    groups: dict[str, list[Source]] = {}
    for one in found:
        if one.path == Path() or (one.path.is_file() and one.path.stat().st_size):
            groups.setdefault(one.group, []).append(one)
    return groups


def find_secrets(settings: Settings) -> Mapping[str, Source]:
    """Return the files that hold secrets, each a group of its own."""
    found = {
        f"{SECRETS}{path.name}": Source(f"{SECRETS}{path.name}", f"{SECRETS}{path.name}", path)
        for path in sorted(settings.secrets.iterdir() if settings.secrets.is_dir() else ())
        if path.is_file() and path.name != "README.md" and not path.name.startswith(".")
    }
    if (settings.directory / ENVIRONMENT).is_file():
        found[ENVIRONMENT] = Source(ENVIRONMENT, ENVIRONMENT, settings.directory / ENVIRONMENT)
    return found


def find_unreachable(store_url: str = "", store_file: Path | None = None) -> Sequence[str]:
    """Return a sentence for each database that is no file here: whether its server backs it up is not known."""
    from perfloop_loadgen.store.location import NONE, chosen_url, path_of

    try:
        url = chosen_url(store_url, store_file)
    except ConfigError as error:
        return (str(error),)
    if url == NONE or path_of(url) is not None:
        return ()
    return (f"the load tests are in {redact_url(url)}: whether that server is backed up is not known",)


def find_runs(home: Path) -> Path:
    """Return the file of the load tests' runs; where they are on a server, a file that is not there."""
    from perfloop_loadgen.store.location import path_of, standing_url

    return path_of(standing_url()) or home / "none"


def _files(directory: Path) -> Iterator[str]:
    """Yield the files below a directory, by their path from it; one that cannot be read is an OSError, not empty."""
    if not directory.is_dir():
        return
    for root, directories, names in os.walk(directory, onerror=_raise):
        directories.sort()
        yield from (str((Path(root) / name).relative_to(directory)) for name in sorted(names))


def _raise(error: OSError) -> None:
    raise error


def _find_configuration(settings: Settings) -> Iterator[Source]:
    """Yield the files that a person may have changed; what came with an installed wheel is on every machine."""
    if not settings.is_editable:
        return
    root = settings.configuration
    names = [f"{part}/{name}" for part in _CONFIGURED for name in _files(root / part)]
    for name in [*names, *_COMPOSE]:
        path = Path(name)
        # In a checkout the programs' own packages are beside their configuration.
        is_program = any(part.startswith(("perfloop_", "__pycache__")) for part in path.parts)
        if path.suffix in _ENDINGS and not is_program:
            yield Source(CONFIGURATION, f"configuration/{name}", root / name)
