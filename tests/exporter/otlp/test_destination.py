"""The SDK's variables: what they ask for, and one sentence for each that cannot be."""

from __future__ import annotations

import pytest

from perfloop_base.errors import ConfigError
from perfloop_exporter.otlp import from_variables, read_destination
from perfloop_exporter.otlp.destination import METRICS_ENDPOINT

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
SECRET = "s3cr3t-of-the-header"


def refused(environ: dict[str, str], endpoint: str = "http://collector:4318") -> tuple[str, ...]:
    """Return what is wrong."""
    with pytest.raises(ConfigError) as found:
        read_destination(environ, "--otlp.endpoint", endpoint, {})
    return found.value.problems


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("http://collector:4318/", "http://collector:4318/v1/metrics"),
        ("https://in.example/otlp/", "https://in.example/otlp/v1/metrics"),
        ("http://127.0.0.1:9090/api/v1/otlp/v1/metrics", "http://127.0.0.1:9090/api/v1/otlp/v1/metrics"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/metrics"),
        ("http://collector:4318?team=a", "http://collector:4318/v1/metrics?team=a"),
    ],
)
def test_the_path_of_metrics_is_added_unless_it_is_there(endpoint: str, url: str):
    """As the specification says of the endpoint of all signals."""
    assert read_destination({}, "--otlp.endpoint", endpoint, {}).url == url


def test_the_metrics_endpoint_is_whole():
    """It is taken as it stands, and comes before that of all signals."""
    environ = {METRICS_ENDPOINT: "http://a:1/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:2"}
    found = from_variables(environ, {})
    assert found is not None
    assert found.url == "http://a:1/x"


@pytest.mark.parametrize(
    "off",
    [{}, {"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_METRICS_EXPORTER": "prometheus"}, {"OTEL_SDK_DISABLED": "TRUE"}],
)
def test_nothing_is_sent_without_an_endpoint_or_when_it_is_turned_off(off: dict[str, str]):
    """The variables of the SDK decide; an application that sets none notices nothing."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:2", **off} if off else {"OTEL_EXPORTER_OTLP_ENDPOINT": " "}
    assert from_variables(environ, {}) is None


def test_variables_say_the_rest():
    """Headers are percent-decoded, the interval is in milliseconds, the service's name wins over the attributes."""
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20YTpi, x-scope=1",
        "OTEL_METRIC_EXPORT_INTERVAL": "1500",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,team=a%2Cb",
    }
    found = read_destination(environ, "--otlp.endpoint", "http://c:1", {"service.instance.id": "i", "team": "x"})
    assert found.headers == {"authorization": "Basic YTpi", "x-scope": "1"}
    assert found.interval_seconds == 1.5
    assert found.resource == {"service.name": "shop", "service.instance.id": "i", "team": "a,b"}
    assert "YTpi" not in repr(found)


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http://:4318",
        "http://collector:99999",
        "http://collector:0",
        "http://col lector",
        "http://collector\n",
        "unix:///run/otlp.sock",
    ],
)
def test_what_is_no_endpoint_is_one_sentence(endpoint: str):
    """It names the flag, the value and the rule."""
    (problem,) = refused({}, endpoint if endpoint != "http://collector\n" else "http://coll\nector")
    assert problem.startswith("--otlp.endpoint: '")
    assert "\n" not in problem


def test_a_password_in_the_endpoint_is_refused_and_not_shown():
    """A credential belongs into the variable for headers."""
    (problem,) = refused({}, f"https://user:{SECRET}@in.example")
    assert SECRET not in problem
    assert "OTEL_EXPORTER_OTLP_HEADERS" in problem


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (SECRET, "entry 1 is not NAME=VALUE"),
        (f"a=1,{SECRET}", "entry 2 is not NAME=VALUE"),
        (f"={SECRET}", "entry 1 is not NAME=VALUE"),
        (f"a b={SECRET}", "entry 1 has a name that no HTTP header can have"),
        (f"a={SECRET}%0D%0AX: y", "entry 1, a, has a character"),
        (f"a={SECRET}é", "entry 1, a, has a character"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named_by_its_number(headers: str, words: str):
    """Its value is never repeated: it is most likely a credential."""
    (problem,) = refused({"OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert words in problem
    assert SECRET not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "GRPC"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "10s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "²"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "9" * 5000),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ],
)
def test_a_wrong_variable_is_one_sentence(name: str, value: str):
    """It names the variable, and is short however long the value is."""
    (problem,) = refused({name: value})
    assert name in problem
    assert len(problem) < 500


def test_every_problem_is_said_at_once():
    """Whoever corrects one must not find the next."""
    environ = {"OTEL_METRIC_EXPORT_INTERVAL": "x", "OTEL_EXPORTER_OTLP_HEADERS": "x", "OTEL_RESOURCE_ATTRIBUTES": "x"}
    assert len(refused(environ, "x")) == 4


def test_grpc_without_its_exporter_says_what_installs_it(monkeypatch: pytest.MonkeyPatch):
    """It is no part of the extra: it brings grpcio."""
    monkeypatch.setattr("perfloop_exporter.otlp.destination.find_spec", lambda _: None)
    (problem,) = refused({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert "pip install 'opentelemetry-exporter-otlp-proto-grpc'" in problem
    (problem,) = refused({})
    assert "pip install 'perfloop[otel]'" in problem
