"""What a test without thresholds is held to: the limits that thresholds.yml has for an API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.home import find_home
from perfloop_base.shipped import shipped_root
from perfloop_base.thresholds import read_thresholds
from perfloop_loadgen.config.model import GateConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_base.thresholds import Thresholds
    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig

_RESPONSE = "api_response_time_p95"
# Where the file gives none.
_RESPONSE_SECONDS = 1.0
_SHARES = (("errors", "error_ratio", 0.05), ("timeouts", "timeout_ratio", 0.01))


def default_thresholds(config: LoadTestConfig) -> tuple[list[GateConfig], str]:
    """Return the gates of a test that has none, and a sentence that says so.

    A route with a limit of its own in thresholds.yml has it here too. A streamed answer lasts as long as what it says:
    without such a limit it is held to no time.

    Raises:
        ConfigError: thresholds.yml cannot be read.
    """
    thresholds = read_thresholds(_file())
    gates = _response_gates(config, thresholds)
    for metric, signal, otherwise in _SHARES:
        percent = 100 * _limit(thresholds, signal, otherwise)
        gates.append(GateConfig(expect=f"{metric} < {percent:g} %"))
    return gates, f"the test sets no thresholds: it is held to those of thresholds.yml for an API, {_words(gates)}"


def _words(gates: Sequence[GateConfig]) -> str:
    """Return gates in words; endpoints of one limit together, since there may be hundreds."""
    by_limit: dict[str, list[str]] = {}
    for gate in gates:
        by_limit.setdefault(gate.expect, []).append(gate.endpoint or "")
    named = {limit: names[0] if len(names) == 1 else f"{len(names)} endpoints" for limit, names in by_limit.items()}
    return ", ".join(f"{limit} ({name})" if name else limit for limit, name in named.items())


def _response_gates(config: LoadTestConfig, thresholds: Thresholds) -> list[GateConfig]:
    steps = [step for scenario in config.scenarios for step in scenario.steps]
    limits = {endpoint.label: _seconds(endpoint, thresholds) for endpoint in (*config.requested, *steps)}
    if len(set(limits.values())) <= 1:
        whole = next(iter(limits.values()), _limit(thresholds, _RESPONSE, _RESPONSE_SECONDS))
        return [] if whole is None else [GateConfig(expect=f"p95 < {whole:g} s")]
    return [
        GateConfig(expect=f"p95 < {limit:g} s", endpoint=label) for label, limit in limits.items() if limit is not None
    ]


def _seconds(endpoint: EndpointConfig, thresholds: Thresholds) -> float | None:
    route = endpoint.path.partition("?")[0]
    for override in thresholds.overrides_of(_RESPONSE):
        if override.route == route and not override.service:
            return override.limits.get("warning")
    if endpoint.stream or endpoint.llm is not None:
        return None
    return _limit(thresholds, _RESPONSE, _RESPONSE_SECONDS)


def _limit(thresholds: Thresholds, signal: str, otherwise: float) -> float:
    found = thresholds.find_signal(signal)
    return otherwise if found is None else found.limits.get("warning", otherwise)


def _file() -> Path:
    """Return the file that a running stack reads, else that of this configuration, else the one that ships."""
    for directory in (find_home() / "etc" / "prometheus", Path("prometheus")):
        if (directory / "prometheus.yml").is_file() and (directory / "thresholds.yml").is_file():
            return directory / "thresholds.yml"
    return shipped_root() / "prometheus" / "thresholds.yml"
