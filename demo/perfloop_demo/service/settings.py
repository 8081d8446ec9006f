"""Which database and cache the service uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# psycopg 3 is the driver we install; SQLAlchemy would take psycopg2 for the plain name.
_POSTGRESQL = "postgresql+psycopg"
_DRIVERS = {"postgres": _POSTGRESQL, "postgresql": _POSTGRESQL, _POSTGRESQL: _POSTGRESQL}
_REDIS_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's databases; no Redis address means the cache in this process."""

    database_url: str
    redis_url: str | None = None


def read_settings(data_dir: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings of the environment variables DATABASE_URL and REDIS_URL.

    Raises:
        ConfigError: one sentence for each value that breaks a rule.
    """
    database_url, redis_url = environment.get("DATABASE_URL", "").strip(), environment.get("REDIS_URL", "").strip()
    rules = (
        ("DATABASE_URL", database_url, ("postgresql", "sqlite"), {*_DRIVERS, "sqlite"}),
        ("REDIS_URL", redis_url, _REDIS_SCHEMES, _REDIS_SCHEMES),
    )
    problems = [
        f"{name} begins with {_scheme(url)!r}: it must begin with {' or '.join(f'{scheme}://' for scheme in named)}."
        for name, url, named, accepted in rules
        if url and _scheme(url) not in accepted
    ]
    if _scheme(database_url) == "sqlite" and urlsplit(database_url).path.strip("/") in {"", ":memory:"}:
        # Each connection of the pool would have a database of its own.
        problems.append(
            f"DATABASE_URL has the value {database_url!r}: it must name a file, as in sqlite:////data/demo.db."
        )
    if problems:
        raise ConfigError(problems)
    return Settings(_with_driver(database_url) or f"sqlite:///{data_dir.resolve() / 'demo.db'}", redis_url or None)


def _scheme(url: str) -> str:
    return urlsplit(url).scheme or url[:20]


def _with_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return _DRIVERS.get(scheme, scheme) + separator + rest
