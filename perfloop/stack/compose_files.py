"""Which Compose files a stack in containers is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop.stack.settings import Settings

COMPOSE_FILE, HA_FILE, SCALE_FILE = "docker-compose.yml", "docker-compose.ha.yml", "docker-compose.scale.yml"
OTLP_FILE = "docker-compose.otlp.yml"  # the last: it names a configuration that has what the others add
FILES_VARIABLE = "COMPOSE_FILE"
_SEPARATOR = ":"


def choose_files(settings: Settings) -> str:
    """Return the value of COMPOSE_FILE that the settings ask for; empty where Compose finds the one file by itself."""
    files = [COMPOSE_FILE]
    files += [HA_FILE] if settings.alertmanagers > 1 else []
    files += [SCALE_FILE] if settings.scale else []
    files += [OTLP_FILE] if settings.otlp else []
    return _SEPARATOR.join(files) if len(files) > 1 else ""


def all_files(directory: Path, used: str) -> str:
    """Return the value of COMPOSE_FILE with every file that is there, whether or not it is used now.

    What runs may be of any of them.

    Args:
        directory: the configuration.
        used: the value that is used now, with files of a person's own; empty for none.
    """
    more = [name for name in (HA_FILE, SCALE_FILE, OTLP_FILE) if (directory / name).is_file()]
    return _SEPARATOR.join(dict.fromkeys([*(used or COMPOSE_FILE).split(_SEPARATOR), *more]))
