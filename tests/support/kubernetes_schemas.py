"""The schemas of Kubernetes and of the custom resources, in the form that kubeconform reads.

They come from the modules of Kubernetes, the Prometheus operator and KEDA when the tests run; nothing of them is kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support import kubernetes_tools
from tests.support.kubernetes import module, read_documents

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# How kubeconform names the file of a kind: `daemonset-apps-v1.json`, `service-v1.json`.
LOCATION = "{{.ResourceKind}}{{.KindSuffix}}.json"
_REFERENCE = "#/definitions/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def write_schemas(directory: Path, kinds: Collection[str]) -> None:
    """Write the schema of each kind, in each of its versions, one a file."""
    for name, schema in [*_kubernetes(kinds), *_custom()]:
        (directory / name.lower()).write_text(json.dumps(schema), encoding="utf-8")


def _kubernetes(kinds: Collection[str]) -> Iterator[tuple[str, Any]]:
    path = module(kubernetes_tools.KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
    definitions = json.loads(path.read_text(encoding="utf-8"))["definitions"]
    definitions[_QUANTITY] = {"type": ["string", "number"]}
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if kind["kind"] in kinds:
                group = kind["group"].partition(".")[0]
                suffix = "-".join(filter(None, [group, kind["version"]]))
                used = {one: strict(definitions[one]) for one in sorted(_reachable(definitions, name))}
                yield f"{kind['kind']}-{suffix}.json", {"$ref": _REFERENCE + name, "definitions": used}


def _reachable(definitions: dict[str, Any], name: str) -> set[str]:
    """Return the definitions that one refers to, itself among them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _references(definitions[one])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REFERENCE)
        schema = list(schema.values())
    for one in schema if isinstance(schema, list) else ():
        yield from _references(one)


def _custom() -> Iterator[tuple[str, Any]]:
    operator = module(kubernetes_tools.PROMETHEUS_OPERATOR) / "example" / "prometheus-operator-crd"
    keda = module(kubernetes_tools.KEDA) / "config" / "crd" / "bases"
    for path in sorted([*operator.glob("*.yaml"), *keda.glob("*.yaml")]):
        (document,) = read_documents(path.read_text(encoding="utf-8"))
        group = document["spec"]["group"].partition(".")[0]
        for version in document["spec"]["versions"]:
            kind = document["spec"]["names"]["kind"]
            yield f"{kind}-{group}-{version['name']}.json", strict(version["schema"]["openAPIV3Schema"])


def strict(schema: Any) -> Any:
    """Return a schema in which an object with declared fields has no others."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    is_open = "additionalProperties" in made or made.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(made.get("properties"), dict) and "type" in made and not is_open:
        made["additionalProperties"] = False
    # In Kubernetes a quantity or a port may be a number or a text.
    if made.get("x-kubernetes-int-or-string") or made.get("format") == "int-or-string":
        made.pop("type", None)
    return made
