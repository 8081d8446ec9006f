"""The load test that replays a traffic: each route at its own rate, with a body from somewhere that knows it.

Prometheus knows no bodies. They come from a file of load tests, or from the service's own OpenAPI document.
"""

from __future__ import annotations

import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from perfloop.prove.errors import ProofError
from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.config import EndpointConfig, LoadTestConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop.prove.traffic import Route, Tokens, Traffic

_CYCLE = 2000  # requests after which every route has had its share: a thousandth of the traffic is two of them
_WORDS_PER_TOKEN = 0.75  # of English text, as a rule (OpenAI, "What are tokens and how to count them?")
_LEAST_IN_FLIGHT, _SLACK = 64, 20
_DOCUMENT = "/openapi.json"
_CHAT = "/chat/completions"


def read_requests(path: Path) -> list[EndpointConfig]:
    """Return every endpoint of a file of load tests.

    Raises:
        ConfigError: With every problem of the file.
    """
    return [one for test in LoadTestConfig.all_from_yaml(path).values() for one in test.requested]


def fetch_requests(url: str, client: httpx.Client) -> list[EndpointConfig]:
    """Return the endpoints of a service's own OpenAPI document; none where it has none that can be read."""
    try:
        document = client.get(url.rstrip("/") + _DOCUMENT)
        document.raise_for_status()
    except httpx.HTTPError:
        return []
    with tempfile.TemporaryDirectory() as directory:
        source, test = Path(directory, "openapi.json"), Path(directory, "test.yml")
        source.write_bytes(document.content)
        try:
            test.write_text(import_file("openapi", source), encoding="utf-8")
            return read_requests(test)
        except ConfigError:
            return []


def make_plan(traffic: Traffic, known: Sequence[EndpointConfig], scale: float = 1.0) -> LoadTestConfig:
    """Return the test, without address and duration; `scale` multiplies every rate.

    Raises:
        ProofError: Of routes whose requests are not known, all of them.
    """
    rate = traffic.rate * scale
    weights = [max(1, round(_CYCLE * route.rate / traffic.rate)) for route in traffic.routes]
    found = [(route, _find(route, known)) for route in traffic.routes]
    if unknown := [route.name for route, endpoint in found if endpoint is None]:
        raise ProofError(
            f"no request is known for {', '.join(unknown)}: describe them with --requests FILE (a file of load tests), "
            f"or serve {_DOCUMENT}"
        )
    endpoints = [
        _dressed(endpoint, route, weight, traffic.tokens)
        for (route, endpoint), weight in zip(found, weights, strict=True)
        if endpoint is not None
    ]
    in_flight = max(_LEAST_IN_FLIGHT, math.ceil(_SLACK * scale * traffic.concurrency))
    return LoadTestConfig.model_validate(
        {
            "name": f"proof of {traffic.service}",
            "endpoints": endpoints,
            "load": {"shape": "constant_rate", "rate": round(rate, 6), "max_in_flight": in_flight},
        }
    )


def _find(route: Route, known: Iterable[EndpointConfig]) -> EndpointConfig | None:
    """Return the endpoint of a route: by its name, else by a path that fits the route's template."""
    same = [one for one in known if one.method == route.method]
    by_name = next((one for one in same if one.name == route.name), None)
    fits = _pattern(route.route)
    return by_name or next((one for one in same if fits.fullmatch(one.path.partition("?")[0])), None) or _plain(route)


def _plain(route: Route) -> EndpointConfig | None:
    """Return the request of a route that needs nothing but its path."""
    if route.method in ("GET", "HEAD", "OPTIONS") and not re.search(r"[{}<>*:]", route.route):
        return EndpointConfig.model_validate({"path": route.route, "method": route.method})
    return None


def _pattern(template: str) -> re.Pattern[str]:
    """Return what the paths of a route look like: its placeholders as one segment each."""
    parts = re.split(r"(\{[^}]*\}|<[^>]*>)", template)
    return re.compile("".join("[^/]+" if at % 2 else re.escape(part) for at, part in enumerate(parts)))


def _dressed(endpoint: EndpointConfig, route: Route, weight: int, tokens: Sequence[Tokens]) -> dict[str, Any]:
    plain = endpoint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain |= {"path": endpoint.path, "name": route.name, "weight": weight}
    if route.route.endswith(_CHAT) and tokens and endpoint.llm is None:
        one = max(tokens, key=lambda model: model.written)
        words = max(1, round(_WORDS_PER_TOKEN * one.read))
        plain.pop("data", None)
        plain["llm"] = {
            "model": one.model or "default",
            "prompt_words": words,
            "max_tokens": max(1, round(one.written)),
        }
    return plain


def describe_source(requests: Path | None, url: str) -> str:
    """Return where the bodies are from, in words."""
    return str(requests) if requests else redact_url(url.rstrip("/") + _DOCUMENT)
