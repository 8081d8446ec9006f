"""The placeholders of a request, as a test file has them.

`${name}` is a data column or an extracted value, in a path quoted for it; `${raw:name}` is the same value as it is;
`${env:NAME}` is a variable of the environment, read once, before the run. One more dollar sign says that none of this
is meant: `$${name}` is sent as `${name}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

# The dollar signs, the kind and the name.
PLACEHOLDER = re.compile(r"(\$+)\{(?:(raw|env):)?([^\W\d][\w.-]*)\}")


class Name(NamedTuple):
    """One placeholder: its kind (`raw`, `env` or none) and the name in it."""

    kind: str
    name: str


def names_in(value: Any) -> Iterator[Name]:
    """Yield the placeholders inside of a value, keys of mappings included."""
    if isinstance(value, str):
        for found in PLACEHOLDER.finditer(value):
            if len(found[1]) == 1:
                yield Name(found[2] or "", found[3])
        return
    if isinstance(value, Mapping):
        value = [part for pair in value.items() for part in pair]
    for part in value if isinstance(value, list) else ():
        yield from names_in(part)


def starts_raw(path: str) -> bool:
    """Return whether a path begins with what is put in as it is: `${raw:name}`, or nothing but `${name}`."""
    found = PLACEHOLDER.match(path)
    return found is not None and len(found[1]) == 1 and (found[2] == "raw" or (not found[2] and found[0] == path))


def escape(text: str) -> str:
    """Return what is filled to exactly this text, whatever it holds."""
    return PLACEHOLDER.sub(r"$\g<0>", text) if "${" in text else text


def quoted(text: str) -> str:
    """Return a text as a part of a URL: nothing in it can change the URL's structure."""
    return quote(text, safe="", errors="replace")


def fill_environment(value: Any, environ: Mapping[str, str], *, in_path: bool = False) -> Any:
    """Return the value with every `${env:NAME}` filled and everything else left as it is.

    Args:
        value: a part of a request.
        environ: the variables; every one that is asked for must be there.
        in_path: whether the value is a path, in which they are quoted.
    """
    if isinstance(value, str):

        def filled(found: re.Match[str]) -> str:
            if found[2] != "env" or len(found[1]) > 1:
                return found[0]
            text = environ[found[3]]
            return escape(quoted(text) if in_path else text)

        return PLACEHOLDER.sub(filled, value) if "${env:" in value else value
    if isinstance(value, Mapping):
        return {fill_environment(key, environ): fill_environment(part, environ) for key, part in value.items()}
    if isinstance(value, list):
        return [fill_environment(part, environ) for part in value]
    return value
