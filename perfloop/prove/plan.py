"""The load test that replays a traffic: each route at its own rate, with a body from somewhere that knows it.

Prometheus knows no bodies. They come from a file of load tests, or from the service's own OpenAPI document.
"""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What is requested, and how often.

    Attributes:
        test: The load test, without address, duration and rate; one endpoint a route.
        rates: Requests per second of each endpoint.
        in_flight: The most requests that are under way at a time.
    """

    test: LoadTestConfig
    rates: tuple[float, ...]
    in_flight: int

    def of_pair(self, pair: int, seconds: float) -> LoadTestConfig:
        """Return the test of both blocks of a pair, which last so long.

        Each route comes as often as its rate says, in whole requests; what is left of one is carried to the next pair,
        so that a route of which a block has less than one comes in every so many pairs.
        """
        counts = [round((pair + 1) * rate * seconds) - round(pair * rate * seconds) for rate in self.rates]
        endpoints = [
            endpoint.model_copy(update={"weight": count})
            for endpoint, count in zip(self.test.endpoints, counts, strict=True)
            if count
        ]
        if not endpoints:
            raise ProofError(f"a block of {seconds:g} s has no request at this rate: make --block or --scale larger")
        load = {"shape": "constant_rate", "rate": sum(counts) / seconds, "max_in_flight": self.in_flight}
        plain = [one.model_dump(by_alias=True, exclude_defaults=True) for one in endpoints]
        return LoadTestConfig.model_validate(
            {"name": self.test.name, "endpoints": plain, "load": load, "duration_seconds": seconds}
        )


def make_plan(traffic: Traffic, known: Sequence[EndpointConfig], scale: float = 1.0) -> Plan:
    """Return the plan of a traffic; `scale` multiplies every rate.

    Raises:
        ProofError: Of routes whose requests are not known, all of them.
    """
    found = [(route, _find(route, known)) for route in traffic.routes]
    if unknown := [route.name for route, endpoint in found if endpoint is None]:
        raise ProofError(
            f"no request is known for {', '.join(unknown)}: describe them with --requests FILE (a file of load tests), "
            f"or serve {_DOCUMENT}"
        )
    endpoints = [_dressed(endpoint, route, traffic.tokens) for route, endpoint in found if endpoint is not None]
    test = LoadTestConfig.model_validate({"name": f"proof of {traffic.service}", "endpoints": endpoints})
    in_flight = max(_LEAST_IN_FLIGHT, math.ceil(_SLACK * scale * traffic.concurrency))
    return Plan(test, tuple(route.rate * scale for route in traffic.routes), in_flight)


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


def _dressed(endpoint: EndpointConfig, route: Route, tokens: Sequence[Tokens]) -> dict[str, Any]:
    plain = endpoint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain |= {"path": endpoint.path, "name": route.name}
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
