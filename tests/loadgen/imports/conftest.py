"""What tests of imports share: the test that a document becomes, read back as `run` reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.config import LoadTestConfig

if TYPE_CHECKING:
    from pathlib import Path

Importing = Callable[..., LoadTestConfig]


class Imported:
    """Imports documents, and keeps the text of the last one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.text = ""

    def __call__(self, form: str, document: Any, name: str = "d.json") -> LoadTestConfig:
        """Return the test that a document becomes."""
        path = self.directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return self.read(import_file(form, path))

    def read(self, text: str) -> LoadTestConfig:
        """Return the test of an imported file."""
        self.text = text
        made = self.directory / "made.yml"
        made.write_text(text, encoding="utf-8")
        return LoadTestConfig.from_yaml(made)

    @property
    def notes(self) -> str:
        """Return the comments of the last one."""
        return "\n".join(line for line in self.text.splitlines() if line.startswith("#"))


OK = {"200": {"description": "ok"}}


def document_of(operation: dict[str, Any], path: str = "/a", **more: Any) -> dict[str, Any]:
    """Return an OpenAPI document of one operation."""
    method = "post" if "requestBody" in operation else "get"
    return {"openapi": "3.1.0", "paths": {path: {method: {"responses": OK, **operation}}}, **more}


def body_of_schema(schema: Any, kind: str = "application/json", **media: Any) -> dict[str, Any]:
    """Return the part of an operation that describes its body."""
    return {"requestBody": {"content": {kind: {"schema": schema, **media}}}}


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    """What imports."""
    return Imported(tmp_path)
