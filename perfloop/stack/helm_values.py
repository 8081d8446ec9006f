"""The table of the chart's values in docs/kubernetes.md: words of values.schema.json, defaults of values.yaml.

Both files are read by Helm itself, so what the page says of a value is what Helm checks and installs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from perfloop.stack.helm_chart import CHART
from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path("docs/kubernetes.md")
BEGIN, END = "<!-- values: written by `perfloop generate` -->", "<!-- end of the values -->"
_DEFINITIONS = "#/definitions/"
_MISSING = object()


def generate(configuration: Path) -> dict[Path, str]:
    """Return the page with its table; nothing where there is no page with the table's marks.

    Raises:
        ConfigError: values.yaml or values.schema.json cannot be read; one sentence.
    """
    page = configuration / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return {}
    try:
        schema = json.loads((configuration / CHART / "values.schema.json").read_text(encoding="utf-8"))
        values = yaml.safe_load((configuration / CHART / "values.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{CHART}: its values cannot be read: {' '.join(str(error).split())}.") from error
    return {PAGE: f"{before}{BEGIN}\n{render_table(schema, values or {})}{END}{after}"}


def render_table(schema: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return the table in Markdown: a row for each value that can be set."""
    rows = [
        f"| `{name}` | {'' if default is _MISSING else f'`{json.dumps(default, ensure_ascii=False)}`'} | {words} |\n"
        for name, default, words in _rows(schema, schema, values, "")
    ]
    return "| value | default | what |\n|---|---|---|\n" + "".join(rows)


def _rows(
    root: Mapping[str, Any], schema: Mapping[str, Any], values: Any, prefix: str
) -> Iterator[tuple[str, Any, str]]:
    """Yield the name, default and meaning of every value below `prefix`, in the order of the schema."""
    for name, written in schema.get("properties", {}).items():
        one = resolve(root, written)
        value = values.get(name, _MISSING) if isinstance(values, dict) else _MISSING
        items = resolve(root, one.get("items", {}))
        # A part with words of its own is one value, such as requests and limits.
        if one.get("properties") and "description" not in one:
            yield from _rows(root, one, value, f"{prefix}{name}.")
            continue
        yield prefix + name, value, one.get("description", "").replace("|", "\\|")
        yield from _rows(root, items, _MISSING, f"{prefix}{name}[].")


def resolve(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what its `$ref` names put in its place; its own words stay."""
    reference = schema.get("$ref", "")
    if not reference:
        return dict(schema)
    named = resolve(root, root["definitions"][reference.removeprefix(_DEFINITIONS)])
    return {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
