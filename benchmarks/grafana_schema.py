"""The committed boards as Grafana's schema v2. Bar: nothing is lost, and no type error against Grafana's own package.

Usage: GRAFANA_URL=http://127.0.0.1:3000 python benchmarks/grafana_schema.py [--schema 13.2.3]

From 13 on, Grafana's pages work on schema v2 and convert a board of the older form when they load it. Here a real
Grafana (12.4 or newer, with the boards provisioned; GRAFANA_USER and GRAFANA_PASSWORD, admin by default) does that
conversion, its own code, and two things are checked:

- What was a panel, a query, a variable, an annotation or a link before is one afterwards, with the same expression.
- The result is what @grafana/schema of the Grafana that docker-compose.yml ships describes: its types, from npm, are
  checked by the TypeScript compiler, which refuses a field that is missing, unknown or of another type; those of
  v2beta1, to which a Grafana 12.4 converts, and those of v2, which 13 adds. The one difference between the two for
  these boards, how a transformation is named, is made here: a Grafana 12 does not convert to v2.

It proves the document, not the picture: whether a Grafana 13 draws it as 12 does is only seen in one.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).resolve().parent.parent
CONVERTED = "v2beta1"
TYPESCRIPT = "5.9.3"
COMPILER = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext")


def main() -> int:
    """Convert and check every board; return 1 if anything is lost or of a wrong type."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", default=_shipped(), help="the version of @grafana/schema (default: %(default)s)")
    options = parser.parse_args()
    url = os.environ.get("GRAFANA_URL")
    if not url:
        print("GRAFANA_URL is not set: a Grafana has to convert the boards", file=sys.stderr)
        return 1
    files = sorted((CHECKOUT / "grafana" / "dashboards").glob("*.json"))
    boards = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    specs = {uid: _convert(url, uid) for uid in boards}
    problems = [f"{uid}: {problem}" for uid in boards for problem in _find_lost(boards[uid], specs[uid])]
    for version, rename in TYPES.items():
        renamed = {uid: rename(spec) for uid, spec in specs.items()}
        problems += [f"{version}: {problem}" for problem in _check_types(renamed, options.schema, version)]
    print("\n".join(problems[:50]))
    panels = sum(len(spec["elements"]) for spec in specs.values())
    checked = f"schema {' and '.join(TYPES)} of {options.schema}"
    print(f"{len(boards)} boards, {panels} panels, {checked}: {len(problems)} problems")
    return 1 if problems else 0


def _shipped() -> str:
    compose = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    found = re.search(r"grafana/grafana:([\d.]+)@", compose)
    if found is None:
        raise SystemExit("docker-compose.yml names no version of Grafana")
    return found[1]


def _convert(url: str, uid: str) -> dict[str, Any]:
    user = (os.environ.get("GRAFANA_USER", "admin"), os.environ.get("GRAFANA_PASSWORD", "admin"))
    path = f"/apis/dashboard.grafana.app/{CONVERTED}/namespaces/default/dashboards/{uid}"
    answer = httpx.get(url.rstrip("/") + path, auth=user, timeout=60)
    if answer.status_code != httpx.codes.OK:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:200]}")
    document: dict[str, Any] = answer.json()
    conversion = document.get("status", {}).get("conversion", {})
    if conversion.get("failed"):
        raise SystemExit(f"{uid}: Grafana's conversion failed: {conversion}")
    spec: dict[str, Any] = document["spec"]
    return spec


def _find_lost(board: dict[str, Any], spec: dict[str, Any]) -> list[str]:
    """Return what the board has and its converted form has not, or the other way round."""
    panels = [one for row in board["panels"] for one in (row, *row.get("panels", ())) if one["type"] != "row"]
    elements = [element["spec"] for element in spec["elements"].values()]
    before = {
        "panels": Counter(panel["title"] for panel in panels),
        "queries": Counter(target["expr"] for panel in panels for target in panel["targets"]),
        "variables": Counter(variable["name"] for variable in board["templating"]["list"]),
        "links": Counter(link["url"] for link in board["links"] if link["type"] == "link"),
        "annotations": Counter(mark["expr"] for mark in board["annotations"]["list"]),
        "data links": Counter(_links(panels)),
    }
    queries = [query["spec"]["query"]["spec"] for one in elements for query in one["data"]["spec"]["queries"]]
    after = {
        "panels": Counter(element["title"] for element in elements),
        "queries": Counter(query["expr"] for query in queries),
        "variables": Counter(variable["spec"]["name"] for variable in spec["variables"]),
        "links": Counter(link["url"] for link in spec["links"] if link["type"] == "link"),
        "annotations": Counter(mark["spec"]["query"]["spec"].get("expr", "") for mark in spec["annotations"]),
        "data links": Counter(_links([one["vizConfig"]["spec"] for one in elements])),
    }
    after["annotations"].pop("", None)  # Grafana's own, of every board
    return [
        f"{kind}: {dict(before[kind] - after[kind])} lost, {dict(after[kind] - before[kind])} new"
        for kind in before
        if before[kind] != after[kind]
    ]


def _links(panels: list[dict[str, Any]]) -> list[str]:
    configs = [panel["fieldConfig"] for panel in panels]
    of_all = [link["url"] for config in configs for link in config["defaults"].get("links") or ()]
    properties = [one for config in configs for over in config["overrides"] for one in over["properties"]]
    return of_all + [link["url"] for one in properties if one["id"] == "links" for link in one["value"]]


def _name_transformations(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a document of v2beta1 with its transformations as v2 has them."""
    made = copy.deepcopy(spec)
    for element in made["elements"].values():
        group = element["spec"]["data"]["spec"]
        group["transformations"] = [
            {
                "kind": "Transformation",
                "group": one["kind"],
                "spec": {name: value for name, value in one["spec"].items() if name != "id"},
            }
            for one in group["transformations"]
        ]
    return made


def _check_types(specs: dict[str, dict[str, Any]], schema: str, version: str) -> list[str]:
    """Return the errors of the TypeScript compiler for the boards as values of the schema's type."""
    with tempfile.TemporaryDirectory(prefix="perfloop-schema-") as temporary:
        directory = Path(temporary)
        wanted = [f"@grafana/schema@{schema}", f"typescript@{TYPESCRIPT}"]
        (directory / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", *wanted]
        subprocess.run(install, cwd=directory, check=True, timeout=600)
        for uid, spec in specs.items():
            text = (
                f"import type {{ Spec }} from '@grafana/schema/apis/dashboard.grafana.app/{version}';\n"
                f"export const board: Spec = {json.dumps(spec, indent=1)};\n"
            )
            (directory / f"{uid}.ts").write_text(text, encoding="utf-8")
        # Something that is wrong must be found, or nothing is proven.
        wrong = f"import type {{ Spec }} from '@grafana/schema/apis/dashboard.grafana.app/{version}';\n"
        (directory / "canary.ts").write_text(wrong + "export const board: Spec = { title: 1 };\n", encoding="utf-8")
        command = ["npx", "tsc", *COMPILER, *(f"{uid}.ts" for uid in specs), "canary.ts"]
        found = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True, timeout=600)
        errors = [line for line in found.stdout.splitlines() if re.match(r"\S+\.ts\(", line)]
        if not any(line.startswith("canary.ts(") for line in errors):
            raise SystemExit(
                f"the compiler accepts what is wrong, or did not run: {found.stdout[:500]}{found.stderr[:500]}"
            )
        return [line for line in errors if not line.startswith("canary.ts(")]


TYPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"v2beta1": copy.copy, "v2": _name_transformations}

if __name__ == "__main__":
    sys.exit(main())
