"""What Swagger 2.0 says in other words than OpenAPI 3: servers, and bodies that are parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.imports.bodies import FORM, base_type, form_body, is_json
from perfloop_loadgen.imports.media import MULTIPART, body_of_type, rank, upload_part
from perfloop_loadgen.imports.parameters import Parameter, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.imports.examples import Examples
    from perfloop_loadgen.imports.found import Found
    from perfloop_loadgen.imports.references import Part


def servers(root: Part) -> Iterator[str]:
    """Yield the address of the service: scheme, host and base path."""
    rules = root.mapping()
    host, path = rules.get("host"), str(rules.get("basePath", ""))
    if not isinstance(host, str) or not host:
        if path:
            yield f"/{path.lstrip('/')}"
        return
    listed = rules.get("schemes")
    schemes = listed if isinstance(listed, list) else []
    scheme = "http" if "http" in schemes and "https" not in schemes else "https"
    yield f"{scheme}://{host}/{path.lstrip('/')}"


def request_body(
    root: Part, operation: Part, parameters: Sequence[Part], examples: Examples, found: Found
) -> dict[str, Any]:
    """Return the keys of a request for the parameters in `body` or `formData` of an operation."""
    consumed = operation.mapping().get("consumes", root.mapping().get("consumes"))
    kinds = [kind for kind in consumed if isinstance(kind, str)] if isinstance(consumed, list) else []
    body = next((one for one in parameters if one.mapping().get("in") == "body"), None)
    if body is not None:
        fitting = [kind for kind in kinds if base_type(kind) not in {FORM, MULTIPART}]
        kind = min(fitting, key=rank, default="application/json")
        return body_of_type(kind if is_json(kind) or kind != "*/*" else "application/json", body, examples, found)
    fields = [one for one in parameters if one.mapping().get("in") == "formData"]
    if not fields:
        return {}
    needed = [one for one in fields if one.mapping().get("required") is True] or fields
    uploads = any(one.mapping().get("type") == "file" for one in needed)
    if uploads or (MULTIPART in kinds and FORM not in kinds):
        return {"multipart": {escape(_name(one)): _part(one, examples, found) for one in needed}}
    pairs: list[tuple[str, str]] = []
    for one in needed:
        value = examples.of_schema(one)
        if isinstance(value, list) and one.mapping().get("collectionFormat") == "multi":
            pairs += ((_name(one), plain_text(part)) for part in value)
        else:
            pairs.append((_name(one), Parameter(_name(one), value).in_header()))
    return form_body(pairs, found)


def _name(field: Part) -> str:
    return str(field.mapping().get("name", ""))


def _part(field: Part, examples: Examples, found: Found) -> Any:
    rules = field.mapping()
    value = "text" if rules.get("type") == "file" else examples.of_schema(field)
    return upload_part(_name(field), value, rules, found)
