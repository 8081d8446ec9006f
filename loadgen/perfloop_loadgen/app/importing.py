"""The command `import`: a test file from what a service already has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from perfloop_base.errors import ConfigError
from perfloop_base.located import parse_located
from perfloop_loadgen.config.reading import check_size
from perfloop_loadgen.scenario.har import test_from_har
from perfloop_loadgen.scenario.openapi import test_from_openapi

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"openapi": test_from_openapi, "har": test_from_har}

_NOTE = (
    "# A start: keep the requests that a load test may send (some change data), put real values into their bodies.\n"
)


def import_file(form: str, path: Path) -> str:
    """Return the YAML of a test file.

    Raises:
        ConfigError: the file cannot be read, or is not a document of this form.
    """
    document = _read(path)
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: is not a document of the form {form}"])
    try:
        check_size(document, str(path))
        test = FORMS[form](document)
        check_size(test, str(path))
        # Through JSON: YAML anchors for shared parts would read badly. Dates of YAML are texts in JSON.
        plain = json.loads(json.dumps({"load_tests": {path.stem: test}}, default=str))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError([f"{path}: is not a document of the form {form}: {error!r}"]) from error
    return _NOTE + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from error
    try:
        return json.loads(text)  # a recording of megabytes takes YAML's reader minutes
    except (ValueError, RecursionError):
        pass
    try:
        return parse_located(text, str(path), [])
    except ConfigError as error:
        raise ConfigError([f"{path}: is neither JSON nor YAML"]) from error
