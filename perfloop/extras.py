"""What each extra of the distribution brings, so that a missing one is a sentence with the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec

# The modules that an extra's distributions are imported as. A test holds this against pyproject.toml.
MODULES: dict[str, frozenset[str]] = {
    extra: frozenset(names.split())
    for extra, names in {
        "aws": "botocore",
        "dask": "distributed",
        "google": "google",
        "otel": "opentelemetry",
        "otel-demo": "opentelemetry",
        "exporter": "bcrypt jeepney pynvml",
        "analyzer": "alembic bcrypt cronsim fastapi httpx jinja2 numpy orjson promql_parser pydantic rich scipy"
        " sqlalchemy tzdata uvicorn",
        "loadgen": "alembic bcrypt brotli grafana_client httpx idna jinja2 orjson pydantic referencing regex rich"
        " sqlalchemy uvloop zstandard",
        "inbox": "aiosmtpd bcrypt fastapi httpx jinja2 pydantic uvicorn",
        "demo": "bcrypt fastapi httpx jinja2 numpy PIL psycopg pydantic redis sqlalchemy uvicorn",
        "stack": "grafana_foundation_sdk httpx promql_parser rich shtab supervisor",
    }.items()
}


def explain_missing(error: ImportError, extra: str) -> str | None:
    """Return how to get a library that `extra` brings, or None where the import failed for another reason.

    Only a library that is absent altogether is explained: one of our own modules that cannot be found, or a library
    that is broken inside, is a mistake whose traceback is needed.
    """
    missing = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or missing not in MODULES[extra]:
        return None
    return f"{missing} is not installed: `pip install 'perfloop[{extra}]'` installs it"


def find_missing(*extras: str) -> list[str]:
    """Return the extras of which a library is absent, without importing any."""
    return [extra for extra in extras if not all(map(find_spec, MODULES[extra]))]
