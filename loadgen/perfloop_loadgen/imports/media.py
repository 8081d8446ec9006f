"""The body of an operation: which of its content types is sent, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.imports.bodies import FORM, base_type, form_body, is_json, json_body, part_text
from perfloop_loadgen.imports.parameters import Parameter, plain_text
from perfloop_loadgen.imports.schemas import kind_of

if TYPE_CHECKING:
    from perfloop_loadgen.imports.examples import Examples
    from perfloop_loadgen.imports.found import Found
    from perfloop_loadgen.imports.references import Part

MULTIPART = "multipart/form-data"
_OCTETS = "application/octet-stream"


def request_body(body: Part, examples: Examples, found: Found) -> dict[str, Any]:
    """Return the keys of a request for a Request Object of OpenAPI 3: `data`, `form` or `multipart`, and `headers`."""
    content = body.get("content").items()
    if not content:
        return {}
    kind, media = min(content, key=lambda pair: rank(pair[0]))
    return body_of_type("application/json" if base_type(kind) == "*/*" else kind, media, examples, found)


def rank(content_type: str) -> int:
    """Return the place of a content type among those that a body may have: the lowest is sent."""
    kind = base_type(content_type)
    if kind == "application/json":
        return 0
    if is_json(kind):
        return 1
    order = {FORM: 2, MULTIPART: 3, "*/*": 4, "application/xml": 5, "text/xml": 5, "text/plain": 6}
    return order.get(kind, 7)


def body_of_type(content_type: str, media: Part, examples: Examples, found: Found) -> dict[str, Any]:
    """Return the keys of a request whose body is of a content type, from an example or its schema."""
    kind = base_type(content_type)
    if kind == MULTIPART:
        return _multipart(media, examples, found)
    value = examples.of_holder(media)
    if kind == FORM:
        return _form(value, media, found)
    if is_json(kind):
        return json_body(value, content_type, found)
    if kind.endswith("xml") and not isinstance(value, str):
        name = media.get("schema").get("xml").mapping().get("name")
        value = _xml(value, name if isinstance(name, str) else _last_name(media))
    return {"headers": {"Content-Type": content_type}, "data": escape(plain_text(value) or "text")}


def _form(value: Any, media: Part, found: Found) -> dict[str, Any]:
    pairs: list[tuple[str, str]] = []
    for name, part in value.items() if isinstance(value, dict) else ():
        rules = media.get("encoding").get(str(name)).mapping()
        explode = rules.get("explode")
        style = str(rules.get("style", ""))
        if isinstance(part, dict) and not style:
            style = "deepObject"  # what most servers read; the default would lose the field's own name
        parameter = Parameter(str(name), part, style, explode if isinstance(explode, bool) else None)
        for one in parameter.in_query():
            pairs += parse_qsl(one, keep_blank_values=True)
    return form_body(pairs, found)


def _multipart(media: Part, examples: Examples, found: Found) -> dict[str, Any]:
    schema = examples.schemas.merged(media.get("schema"))
    fields = examples.schemas.fields(schema)
    value = examples.of_holder(media)
    made = value if isinstance(value, dict) and value else {}
    parts: dict[str, Any] = {}
    for name, part in made.items():
        rules = examples.schemas.merged(fields[name]).mapping() if name in fields else {}
        encoding = media.get("encoding").get(str(name)).mapping().get("contentType")
        parts[escape(str(name))] = upload_part(str(name), part, rules, found, str(encoding or ""))
    return {"multipart": parts or {"file": upload_part("file", "text", {"format": "binary"}, found)}}


def upload_part(name: str, value: Any, rules: dict[str, Any], found: Found, content_type: str = "") -> Any:
    """Return a part of an upload as the test file has it: a text, or a mapping for a file or a value of JSON."""
    many = value if isinstance(value, list) else [value]
    items = rules.get("items")
    inner = items if isinstance(value, list) and isinstance(items, dict) else rules
    is_file = inner.get("format") == "binary" or "contentMediaType" in inner or kind_of(inner) == "file"
    made: list[Any] = []
    for one in many:
        if is_file:
            kind = content_type.partition(",")[0].strip() or str(inner.get("contentMediaType") or _OCTETS)
            made.append({"text": escape(plain_text(one) or "text"), "filename": "file", "content_type": kind})
        elif isinstance(one, dict | list):
            made.append({"text": escape(plain_text(one)), "content_type": "application/json"})
        else:
            made.append(part_text(name, one, found))
    return made[0] if len(made) == 1 else made


def _last_name(media: Part) -> str:
    reference = media.get("schema").mapping().get("$ref")
    return str(reference).rpartition("/")[2] if isinstance(reference, str) else "root"


def _xml(value: Any, name: str) -> str:
    """Return a value as the elements that OpenAPI 3 makes of it (XML Object, without its special cases)."""
    try:
        return ET.tostring(_element(value, name), encoding="unicode")
    except (ValueError, TypeError):
        return "<root/>"


def _element(value: Any, name: str) -> ET.Element:
    element = ET.Element("".join(one for one in name if one.isalnum() or one in "_-") or "root")
    if isinstance(value, dict):
        for key, part in value.items():
            for one in part if isinstance(part, list) else [part]:
                element.append(_element(one, str(key)))
    else:
        element.text = plain_text(value)
    return element
