"""What the names of measured values mean: which signal, in which unit, and how many samples make one value.

A name says what is measured, then its unit: `api_response_time_ms`. Without a unit it has that of
`perfloop_base.units`. Case, hyphens, dots and `p95` in a name make no difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_base.units import SUFFIXES, Measure, measure

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = "custom"  # the component of what no catalogue knows


@dataclass(frozen=True, slots=True)
class Alias:
    """What a name of the user means: a signal, the factor to base units, and how samples make one value."""

    signal: str
    factor: float
    quantile: float | None


# By signal: what people call it, without the unit.
_TIMES = {
    "api_response_time_p95": """
        api_response_time response_time api_latency request_latency response_latency latency request_duration
        response_duration api_duration request_time http_request_duration http_server_request_duration http_request_time
        http_response_time""",
    "time_to_first_byte_p95": "time_to_first_byte ttfb http_server_time_to_first_byte",
    "db_query_time_p95": """
        database_query_time db_query_time query_time sql_query_time database_time db_time query_duration
        database_query_duration db_query_duration database_latency db_latency query_latency
        db_client_operation_duration""",
    "vector_search_time_p95": """
        vector_search_time vector_query_time vector_search_latency vector_search_duration search_time""",
    "model_inference_time_p95": """
        model_inference_time inference_time llm_inference_time llm_response_time inference_latency model_latency
        llm_latency inference_duration gen_ai_server_request_duration""",
    "time_to_first_token_p95": "time_to_first_token ttft first_token_time gen_ai_server_time_to_first_token",
    "time_per_output_token_p95": """
        time_per_output_token tpot inter_token_latency itl gen_ai_server_time_per_output_token""",
    "cache_operation_time_p95": "cache_operation_time cache_time cache_latency cache_operation_duration",
}
_SHARES = {
    "cache_hit_ratio": "cache_hit_rate cache_hit cache_hits hit_rate hit",
    "error_ratio": """
        error_rate error errors failure_rate failure failed_requests api_error_rate request_error_rate
        http_error_rate""",
    "timeout_ratio": "timeout_rate timeout timeouts request_timeout_rate",
    "db_pool_used_ratio": """
        connection_pool connection_pool_usage connection_pool_used connection_pool_utilization db_pool db_pool_usage
        db_pool_used db_pool_utilization pool_usage pool_utilization db_connection_pool db_connection_pool_usage
        database_connection_pool_usage""",
    "cpu_used_ratio": "cpu cpu_usage cpu_used cpu_utilization system_cpu system_cpu_usage",
    "memory_used_ratio": """
        memory memory_usage memory_used memory_utilization mem mem_usage ram ram_usage system_memory
        system_memory_usage virtual_memory""",
    "swap_used_ratio": "swap swap_usage swap_used swap_memory",
    "filesystem_used_ratio": """
        disk disk_usage disk_used disk_utilization disk_space filesystem filesystem_used filesystem_usage storage
        storage_usage""",
    "gpu_used_ratio": "gpu gpu_usage gpu_used gpu_utilization",
    "gpu_memory_used_ratio": "gpu_memory gpu_memory_usage gpu_memory_used",
    "vllm_kv_cache_used_ratio": "kv_cache kv_cache_usage kv_cache_used",
}
_RATES = {
    "disk_io_bytes_per_second": "disk_io disk_throughput disk_io_counters",
    "disk_read_bytes_per_second": "disk_read disk_reads disk_io_read disk_io_counters_read read",
    "disk_write_bytes_per_second": "disk_write disk_writes disk_written disk_io_write disk_io_counters_write write",
    "network_io_bytes_per_second": "network_io net_io network network_throughput network_traffic bandwidth",
    "network_receive_bytes_per_second": """
        network_received network_receive network_recv network_in network_rx net_received net_recv net_in net_rx rx
        download downloads network_download received""",
    "network_transmit_bytes_per_second": """
        network_sent network_send network_transmit network_transmitted network_out network_tx net_sent net_send net_out
        net_tx tx upload uploads network_upload sent""",
}
_NUMBERS = {
    "request_rate": "requests_per_second throughput request_rate rps qps requests_per_second_total",
    "cpu_cores": "cpu_count cpu_cores cores",
    "active_requests": "active_requests requests_in_flight in_flight_requests",
    "vllm_requests_waiting": "requests_waiting num_requests_waiting",
}
_SIZES = {"memory_total_bytes": "memory_total mem_total total_memory virtual_memory_total"}


def _by_name(groups: Mapping[str, str]) -> dict[str, str]:
    return {name: signal for signal, names in groups.items() for name in names.split()}


# Each quantity that a unit may say has its own names: `memory_used_bytes` is a size, `memory_used` a share.
_NAMES = {
    "time": _by_name(_TIMES),
    "share": _by_name(_SHARES),
    "rate": _by_name(_RATES | {"request_rate": _NUMBERS["request_rate"]}),
    "size": _by_name(_SIZES),
}
KNOWN_NAMES = frozenset(name for names in _NAMES.values() for name in names)
# Without a unit these are counts, or too short to mean one thing.
_NEEDS_UNIT = frozenset(
    re.findall(
        r"\w+",
        "error errors failure failed_requests timeout timeouts cache_hit cache_hits hit read write received sent"
        " network rx tx disk_reads disk_writes storage",
    )
)
_ANY = {
    name: signal for name, signal in _by_name(_TIMES | _SHARES | _RATES | _NUMBERS).items() if name not in _NEEDS_UNIT
}
# The counters since boot behind the rates, and what says nothing about health by itself.
COUNTERS = _by_name(_RATES)
BACKGROUND = {
    "uptime": "a time since the start has no good and no bad side",
    "boot_time": "a moment has no good and no bad side",
    "timestamp": "a moment has no good and no bad side",
    "memory_available": "one value has no past to be judged by; memory_percent has a limit",
    "memory_used": "one value has no past to be judged by; memory_percent has a limit",
    "process_count": "one value has no past to be judged by",
    **dict.fromkeys(("load1", "load5", "load15"), "one value has no past to be judged by; cpu_percent has a limit"),
}
_LEFT_OUT = re.compile(r"(?<![a-z0-9])(?:p95|p_95|95th|avg|mean|average|app|current|value)(?![a-z0-9])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^a-z0-9]+")
# What is the worse the less there is of it.
_LESS_IS_WORSE = re.compile(
    r"hit|success|availab|throughput|uptime|free|remaining|accuracy|healthy|per_second|rps|qps|satisfaction|conversion"
)
_BASE_UNITS = {"time": "seconds", "share": "ratio", "size": "bytes", "temperature": "celsius", "moment": "seconds"}
_FACTORS = {one.unit: one.factor for one in SUFFIXES if one.unit}


def normal(name: str) -> str:
    """Return a name in the form in which names are compared: lower case, words joined by underscores."""
    return _SEPARATOR.sub("_", _CAMEL.sub("_", name).lower()).strip("_")


def measured(name: str) -> Measure:
    """Return what a name says of its unit."""
    found = measure(normal(name))
    plain = normal(_LEFT_OUT.sub("", found.stem.replace("_", " ")))
    return Measure(plain or found.stem, found.name, found.factor, found.quantity, found.unit)


def resolve_alias(name: str, catalog: Mapping[str, Signal]) -> Alias | None:
    """Return which signal of the catalogue a name means; None for none.

    The signal's own name means it too, in base units.
    """
    if normal(name) in catalog:
        return Alias(normal(name), 1.0, None)
    found = measured(name)
    signal = _NAMES.get(found.quantity, _ANY).get(found.stem)
    if signal is None:
        return None
    return Alias(signal, found.factor, 0.95 if signal.endswith("_p95") else None)


def factor_of(unit: str) -> float | None:
    """Return what a value in a unit is multiplied by to have it in base units; None for an unknown one."""
    return _FACTORS.get({"%": "percent", "seconds": "s", "milliseconds": "ms"}.get(unit, unit))


def is_counter(name: str) -> str:
    """Return the signal of the rate of a counter of bytes since boot, such as `network_sent_bytes`; nothing if none."""
    found = measured(name)
    return COUNTERS.get(found.stem, "") if found.quantity == "size" else ""


def own_signal(name: str, level: float) -> Signal:
    """Return a signal for a name that no catalogue knows: it has no limit, and is judged by its own past.

    Args:
        name: As the user wrote it.
        level: Its usual level in base units: a twentieth of it is the smallest change that matters.
    """
    found = measured(name)
    plain = normal(name)
    unit = "bytes_per_second" if found.name.endswith("bytes_per_second") else _BASE_UNITS.get(found.quantity, "")
    return Signal(
        name=plain if plain[:1].isalpha() else f"own_{plain}",
        expr=plain or "own",
        title=name,
        component=OWN,
        kind="use",
        unit=unit,
        direction="below" if _LESS_IS_WORSE.search(plain) else "above",
        limit=Limit(),
        min_deviation=abs(level) / 20,
        detect=("anomaly", "change", "trend"),
    )
