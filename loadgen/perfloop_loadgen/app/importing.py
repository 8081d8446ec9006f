"""The command `import`: a test file from what a service already has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.texts import decode_text, read_text
from perfloop_loadgen.imports.curl import is_command, test_from_curl
from perfloop_loadgen.imports.found import Found, ImportProblem
from perfloop_loadgen.imports.har import test_from_har
from perfloop_loadgen.imports.openapi import test_from_openapi
from perfloop_loadgen.imports.postman import test_from_postman
from perfloop_loadgen.imports.reading import parse_document
from perfloop_loadgen.imports.writing import to_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN = "-"
_RECORDINGS: dict[str, Callable[[Any, Found], dict[str, Any]]] = {"har": test_from_har, "postman": test_from_postman}
# What a document of another form may make a reader of this one raise; the sentence names it.
_UNFIT = (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


def import_file(form: str, source: Path | str) -> str:
    """Return the YAML of a test file.

    Args:
        form: one of `imports.FORMS`.
        source: the file; `-` is the standard input; for curl also the command itself.

    Raises:
        ConfigError: the source cannot be read, or is not of this form.
    """
    path = None if str(source) == STDIN or (form == "curl" and is_command(str(source))) else Path(source)
    what = str(path) if path else "the command" if form == "curl" and str(source) != STDIN else "the standard input"
    found = Found()
    try:
        test = _read(form, _text(source, path, what), found, path)
        return to_yaml(path.stem if path else form, test, found.lines())
    except ImportProblem as error:
        raise ConfigError(f"{what}: {error}") from error
    except _UNFIT as error:
        raise ConfigError(f"{what}: is not a document of the form {form}: {error!r}") from error


def _text(source: Path | str, path: Path | None, what: str) -> str:
    if path is not None:
        return read_text(path, what)
    return decode_text(sys.stdin.buffer.read(), what) if str(source) == STDIN else str(source)


def _read(form: str, text: str, found: Found, path: Path | None) -> dict[str, Any]:
    if form == "curl":
        return test_from_curl(text, found)
    document = parse_document(text)
    if form == "openapi":
        return test_from_openapi(document, found, path)
    return _RECORDINGS[form](document, found)
