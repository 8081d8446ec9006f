"""The AlertmanagerConfig of the chart, as the Prometheus operator itself turns it into Alertmanager's configuration.

The operator's own packages are built from the Go module proxy, which takes minutes: PERFLOOP_LONG_TESTS=1 runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support import kubernetes_tools
from tests.support.helm import find, of_set

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"), reason="builds the operator's packages: set PERFLOOP_LONG_TESTS=1"
    ),
]
_OPERATOR, _VERSION = kubernetes_tools.PROMETHEUS_OPERATOR.split("@")
_PROGRAM = """package main

import (
\t"context"
\t"encoding/json"
\t"fmt"
\t"log/slog"
\t"os"

\t"github.com/blang/semver/v4"
\t"github.com/prometheus-operator/prometheus-operator/pkg/alertmanager"
\tvalidation "github.com/prometheus-operator/prometheus-operator/pkg/alertmanager/validation/v1alpha1"
\tv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
\t"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
\t"github.com/prometheus-operator/prometheus-operator/pkg/assets"
\tcore "k8s.io/api/core/v1"
\tmeta "k8s.io/apimachinery/pkg/apis/meta/v1"
\t"k8s.io/client-go/kubernetes/fake"
)

func main() {
\tif err := build(); err != nil {
\t\tfmt.Fprintln(os.Stderr, err)
\t\tos.Exit(1)
\t}
}

func build() error {
\ttext, err := os.ReadFile(os.Args[1])
\tif err != nil {
\t\treturn err
\t}
\tvar config v1alpha1.AlertmanagerConfig
\tif err := json.Unmarshal(text, &config); err != nil {
\t\treturn err
\t}
\tif err := validation.ValidateAlertmanagerConfig(&config); err != nil {
\t\treturn err
\t}
\tclient := fake.NewSimpleClientset(&core.Secret{
\t\tObjectMeta: meta.ObjectMeta{Name: "perfloop-channels", Namespace: config.Namespace},
\t\tData: map[string][]byte{
\t\t\t"slack_api_url": []byte("https://hooks.example.org/x"), "pagerduty_routing_key": []byte("key"),
\t\t\t"smtp_auth_password": []byte("word"),
\t\t},
\t})
\tstore := assets.NewStoreBuilder(client.CoreV1(), client.CoreV1())
\tinstance := &v1.Alertmanager{}
\tinstance.Spec.AlertmanagerConfigMatcherStrategy.Type = v1.NoneConfigMatcherStrategyType
\tbuilder := alertmanager.NewConfigBuilder(slog.Default(), semver.MustParse("0.25.0"), store, instance)
\traw := []byte("route: {receiver: 'null'}\\nreceivers: [{name: 'null'}]\\n")
\tif err := builder.InitializeFromRawConfiguration(raw); err != nil {
\t\treturn err
\t}
\tconfigs := map[string]*v1alpha1.AlertmanagerConfig{config.Namespace + "/" + config.Name: &config}
\tif err := builder.AddAlertmanagerConfigs(context.Background(), configs); err != nil {
\t\treturn err
\t}
\tmade, err := builder.MarshalJSON()
\tfmt.Print(string(made))
\treturn err
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Alertmanager would read, made by the operator's own code from the chart's object."""
    directory = tmp_path_factory.mktemp("operator")
    (directory / "main.go").write_text(_PROGRAM, encoding="utf-8")
    required = "".join(f"\t{_OPERATOR}{part} {_VERSION}\n" for part in ("", "/pkg/apis/monitoring", "/pkg/client"))
    (directory / "go.mod").write_text(f"module check\n\ngo 1.24.0\n\nrequire (\n{required})\n", encoding="utf-8")
    document = find(of_set("production"), "AlertmanagerConfig")
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    try:
        go = kubernetes_tools.find_go()
    except kubernetes_tools.ToolError as error:
        pytest.skip(str(error))
    command = [go, "run", "-mod=mod", ".", "config.json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (directory / "alertmanager.yml").write_text(done.stdout, encoding="utf-8")
    return directory / "alertmanager.yml"


def test_the_operator_accepts_it_and_so_does_amtool(built: Path, amtool: str) -> None:
    """Receivers, secrets and templates of messages: what Alertmanager itself would refuse is refused here."""
    done = subprocess.run([amtool, "check-config", str(built)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [one["name"].rpartition("/")[2] for one in yaml.safe_load(built.read_text(encoding="utf-8"))["receivers"]]
    assert names == ["null", "dashboards", "slack", "email", "pagerduty"]


@pytest.mark.parametrize(
    ("severity", "receivers"),
    [("critical", "pagerduty,email,slack"), ("warning", "slack"), ("info", "dashboards"), ("unknown", "slack")],
)
def test_alerts_go_where_the_shipped_routes_send_them(severity: str, receivers: str, built: Path, amtool: str) -> None:
    """By amtool's own trial of the routes."""
    command = [amtool, "config", "routes", "test", f"--config.file={built}", f"severity={severity}", "alertname=A"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [name.rpartition("/")[2] for name in done.stdout.strip().split(",")]
    assert ",".join(found) == receivers
