"""The JSON Schemas of the files that users write for the analyzer, from the models that check them.

`python -m perfloop_analyzer.schemas DIRECTORY` writes them; docs/schemas holds the result, and the first line of each
shipped file points an editor to it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.catalog.signals import CatalogFile
from perfloop_analyzer.recommend.rules import RulesFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# By the name of the published file.
MODELS: Mapping[str, type[BaseModel]] = {"catalog.schema.json": CatalogFile, "rules.schema.json": RulesFile}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one kind of file."""
    return {"$schema": DRAFT, **model.model_json_schema()}


def write_schemas(directory: Path) -> None:
    """Write every schema into a directory."""
    for name, model in MODELS.items():
        (directory / name).write_text(json.dumps(schema_of(model), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
