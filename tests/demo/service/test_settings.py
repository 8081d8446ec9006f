from __future__ import annotations

from pathlib import Path

import pytest

from perfloop_base.errors import ConfigError
from perfloop_demo.service.settings import Settings, read_settings

DIRECTORY = Path("/data")


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, Settings("sqlite:////data/demo.db")),
        ({"DATABASE_URL": " ", "REDIS_URL": ""}, Settings("sqlite:////data/demo.db")),
        ({"DATABASE_URL": "postgresql://u:p@db/x"}, Settings("postgresql+psycopg://u:p@db/x")),
        ({"DATABASE_URL": "postgres://db/x"}, Settings("postgresql+psycopg://db/x")),
        ({"DATABASE_URL": "postgresql+psycopg://db/x"}, Settings("postgresql+psycopg://db/x")),
        ({"DATABASE_URL": "sqlite:////tmp/x.db"}, Settings("sqlite:////tmp/x.db")),
        ({"REDIS_URL": "redis://cache:6379/1"}, Settings("sqlite:////data/demo.db", "redis://cache:6379/1")),
    ],
)
def test_read_settings(environment: dict[str, str], settings: Settings):
    """The environment wins over the defaults, and plain names get the driver that is installed."""
    assert settings == read_settings(DIRECTORY, environment)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_database_in_memory(url: str):
    """Connections cannot share a database that lives in one of them."""
    with pytest.raises(ConfigError, match="must name a file"):
        read_settings(DIRECTORY, {"DATABASE_URL": url})


def test_all_problems_together():
    """Each address of an unknown kind has its sentence."""
    with pytest.raises(ConfigError) as caught:
        read_settings(DIRECTORY, {"DATABASE_URL": "mysql://db", "REDIS_URL": "http://cache"})
    assert caught.value.problems == (
        "DATABASE_URL begins with 'mysql': it must begin with postgresql:// or sqlite://.",
        "REDIS_URL begins with 'http': it must begin with redis:// or rediss:// or unix://.",
    )
