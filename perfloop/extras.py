"""What each extra of the distribution brings, so that a missing one is a sentence with the command that installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The modules that an extra's distributions are imported as. A test holds this against pyproject.toml.
MODULES: Mapping[str, frozenset[str]] = {
    extra: frozenset(names.split())
    for extra, names in {
        "exporter": "bcrypt pynvml",
        "analyzer": "alembic fastapi httpx jinja2 numpy orjson promql_parser pydantic rich scipy sqlalchemy uvicorn",
        "loadgen": "grafana_client httpx jinja2 orjson pydantic rich uvloop",
        "demo": "aiosmtpd fastapi httpx jinja2 numpy PIL psycopg redis sqlalchemy uvicorn",
        "stack": "grafana_foundation_sdk httpx promql_parser pydantic rich shtab supervisor",
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
