"""The autoscalers' files against the real schemas: KEDA's CRD, Kubernetes' OpenAPI, the adapter's own reader, Compose.

The schemas come from the Go module proxy when the tests run; nothing of them is kept here. Where they could not be
downloaded the tests are skipped, with the reason.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from perfloop_base.promql import find_problem
from perfloop_base.scaling import ServiceScaling

CHECKOUT = Path(__file__).parents[2]
FILES = CHECKOUT / "deploy" / "autoscaling"
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
KUBERNETES = "k8s.io/kubernetes@v1.34.1"
ADAPTER = "sigs.k8s.io/prometheus-adapter@v0.12.0"
COMPOSE = "github.com/compose-spec/compose-go/v2@v2.9.1"
READER = """package main

import (
\t"fmt"
\t"os"

\t"sigs.k8s.io/prometheus-adapter/pkg/config"
)

func main() {
\tread, err := config.FromFile(os.Args[1])
\tif err != nil {
\t\tfmt.Fprintln(os.Stderr, err)
\t\tos.Exit(1)
\t}
\tfmt.Print(len(read.ExternalRules))
}
"""


def _load(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FILES / name).read_text(encoding="utf-8"))
    return read


@cache
def _module(name: str) -> Path:
    """Return where a Go module lies, downloaded if need be."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed: the real schemas are not there to check against")
    done = subprocess.run(
        [go, "mod", "download", "-json", name], cwd="/", capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.skip(f"{name} could not be downloaded: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Path(json.loads(done.stdout)["Dir"])


def _strict(schema: Any) -> Any:
    """Return a schema in which an object with declared fields has no others, as `kubeconform -strict` reads it."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made and "additionalProperties" not in made:
        made["additionalProperties"] = False
    # In Kubernetes a quantity or a port may be a number or a text.
    if made.get("x-kubernetes-int-or-string") or made.get("format") == "int-or-string":
        made.pop("type", None)
    return made


def _problems(schema: Any, document: Any) -> list[str]:
    found = Draft7Validator(_strict(schema)).iter_errors(document)
    return [f"{'.'.join(map(str, one.absolute_path))}: {one.message}" for one in found]


@cache
def _keda_schema() -> Any:
    crd = yaml.safe_load((_module(KEDA) / "config/crd/bases/keda.sh_scaledobjects.yaml").read_text(encoding="utf-8"))
    (version,) = (one for one in crd["spec"]["versions"] if one["name"] == "v1alpha1")
    return version["schema"]["openAPIV3Schema"]


@cache
def _hpa_schema() -> Any:
    spec = json.loads((_module(KUBERNETES) / "api/openapi-spec/swagger.json").read_text(encoding="utf-8"))
    definitions = spec["definitions"]
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    definitions[quantity] = {"type": ["string", "number"]}
    return {
        **definitions["io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler"],
        "definitions": {name: one for name, one in definitions.items() if name.startswith("io.k8s.")},
    }


def test_the_scaled_object_is_one() -> None:
    """By the schema of the custom resource that KEDA installs."""
    assert _problems(_keda_schema(), _load("keda-scaledobject.yml")) == []


def test_the_autoscaler_is_one() -> None:
    """By the OpenAPI document of Kubernetes."""
    assert _problems(_hpa_schema(), _load("hpa.yml")) == []


@pytest.mark.parametrize("name", ["keda-scaledobject.yml", "hpa.yml"])
def test_the_schemas_refuse_what_is_wrong(name: str) -> None:
    """An unknown field and a number that is a text: else the two tests above would show nothing."""
    schema = _keda_schema() if name.startswith("keda") else _hpa_schema()
    most = "maxReplicaCount" if name.startswith("keda") else "maxReplicas"
    document = _load(name)
    document["spec"] |= {most: "many", "minReplica": 1}
    assert len(_problems(schema, document)) == 2


def test_every_field_of_the_trigger_is_known_to_keda() -> None:
    """A trigger's metadata has no schema; the scaler's own source names what it reads."""
    source = (_module(KEDA) / "pkg/scalers/prometheus_scaler.go").read_text(encoding="utf-8")
    known = set(re.findall(r'keda:"name=(\w+),', source))
    (trigger,) = _load("keda-scaledobject.yml")["spec"]["triggers"]
    assert set(trigger["metadata"]) - known == set()
    assert {"serverAddress", "query", "threshold"} <= set(trigger["metadata"])


def test_the_adapter_reads_its_rules(tmp_path: Path) -> None:
    """By the reader of prometheus-adapter itself, which refuses unknown fields."""
    _module(ADAPTER)
    (tmp_path / "main.go").write_text(READER, encoding="utf-8")
    (tmp_path / "go.mod").write_text(
        f"module reader\n\ngo 1.22\n\nrequire {ADAPTER.replace('@', ' ')}\n", encoding="utf-8"
    )
    command = ["go", "run", "-mod=mod", ".", str(FILES / "prometheus-adapter-rules.yml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode and "prometheus-adapter" not in done.stderr and "dial tcp" in done.stderr:
        pytest.skip(f"the adapter's reader cannot be built here: {done.stderr[-300:]}")
    assert (done.returncode, done.stdout) == (0, "1"), done.stderr[-2000:]


def test_the_compose_file_is_one() -> None:
    """By the schema of the Compose specification, with its own escape of the dollar sign."""
    schema = json.loads((_module(COMPOSE) / "schema" / "compose-spec.json").read_text(encoding="utf-8"))
    assert [one.message for one in Draft7Validator(schema).iter_errors(_load("docker-compose.yml"))] == []
    content = _load("docker-compose.yml")["configs"]["proxy"]["content"]
    assert "$" not in content.replace("$$", "")


def test_replicas_of_the_compose_file_may_be_many() -> None:
    """No fixed port and no fixed name: both are for one container alone."""
    service = _load("docker-compose.yml")["services"]["shop"]
    assert not {"ports", "container_name"} & set(service)


def test_consumers_ask_for_the_published_series_within_the_shipped_bounds() -> None:
    """The same name, valid PromQL, and the bounds of scaling.yml."""
    keda, hpa = _load("keda-scaledobject.yml")["spec"], _load("hpa.yml")["spec"]
    query = keda["triggers"][0]["metadata"]["query"]
    rules = _load("prometheus-adapter-rules.yml")["externalRules"]
    asked = rules[0]["metricsQuery"].replace("<<.Series>>", rules[0]["name"]["as"])
    asked = asked.replace("<<.LabelMatchers>>", 'service="shop"')
    for expr in (query, asked):
        assert find_problem(expr) == "", expr
        assert 'perfloop_desired_replicas{service="shop"}' in expr
    assert hpa["metrics"][0]["external"]["metric"]["name"] == rules[0]["name"]["as"]
    bounds = (ServiceScaling().min_replicas, ServiceScaling().max_replicas)
    assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (hpa["minReplicas"], hpa["maxReplicas"]) == bounds
