"""The LLM board: token latency and throughput, queues, and whether the GPU is the limit; vLLM's series or our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.precision import precise
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import percent, plain, seconds
from perfloop_boards.panels import About, figure, lines, number, percentile
from perfloop_boards.queries import Query, equal, percentiles, ratio, selector

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

MODEL = 'gen_ai_request_model=~"$model"'
SERVICE = 'service=~"$service"'
REQUESTS = "service_model:gen_ai_server_requests:rate1m"  # our series and vLLM's, under one label
NO_CALLS = "No model calls in this time range."
NO_VLLM = "vLLM is not scraped: add it to prometheus/targets/."
NO_GPU = "No GPU is monitored: this machine has none, or neither the exporter's NVML collector nor DCGM is scraped."

# Ours, and vLLM's spellings of the same thing: the newest first. vLLM's `model_name` becomes our label.
TTFT = ("gen_ai_server_time_to_first_token_seconds", "vllm:time_to_first_token_seconds")
TPOT = (
    "gen_ai_server_time_per_output_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:time_per_output_token_seconds",
)
WHOLE = ("gen_ai_server_request_duration_seconds", "vllm:e2e_request_latency_seconds")


def _rate(metric: str, *matchers: str) -> str:
    own = metric.startswith("gen_ai_")
    of_model = MODEL if own else 'model_name=~"$model"'
    series = f"rate({metric}{selector(SERVICE, of_model, *matchers)}[$__rate_interval])"
    return series if own else f'label_replace({series}, "gen_ai_request_model", "$1", "model_name", "(.+)")'


def _rates(spellings: tuple[str, ...], suffix: str = "") -> str:
    # Of two spellings with the same labels the first wins; ours and vLLM's have different labels and add up.
    return " or ".join(_rate(name + suffix) for name in spellings)


def _sum(spellings: tuple[str, ...], suffix: str = "", by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} ({_rates(spellings, suffix)})"


def _quantile(q: float, spellings: tuple[str, ...], by: str = "") -> str:
    return f"histogram_quantile({q:g}, {_sum(spellings, '_bucket', by=f'le, {by}' if by else 'le')})"


def _tokens(kind: str, vllm: str, by: str = "") -> str:
    own = _rate("gen_ai_server_token_usage_total", f'gen_ai_token_type="{kind}"')
    return f"sum{f' by ({by})' if by else ''} ({own} or {_rate(vllm)})"


def _gauge(*names: str, how: str = "sum") -> str:
    of_model = selector(SERVICE, 'model_name=~"$model"')
    return f"{how} ({' or '.join(name + of_model for name in names)})"


def _percentiles(spellings: tuple[str, ...]) -> list[Query]:
    return percentiles(lambda q: _quantile(q, spellings))


WRITTEN = _tokens("output", "vllm:generation_tokens_total")
READ = _tokens("input", "vllm:prompt_tokens_total")
KV_USED = _gauge("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", how="max")
WAITING = _gauge("vllm:num_requests_waiting")
RUNNING = _gauge("vllm:num_requests_running")
PREFIX_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
PREFIX_READS = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")


def _first_token_now(limits: Limits) -> AnyPanel:
    first_token = limits.slo("first_token")
    return percentile(
        About(
            "First token p95",
            f"Time until the first token appears. Good: under {seconds(first_token.first)}. Above: see the queue "
            "below.",
            "s",
            "no calls",
        ),
        precise(0.95, _sum(TTFT, "_bucket", by="le")),
        first_token,
    )


def _per_token_now(limits: Limits) -> AnyPanel:
    per_token = limits.slo("inter_token")
    return percentile(
        About(
            "Per token p95",
            f"Good: under {seconds(per_token.first)}, faster than people read. Above: batches are too large, or "
            "the GPU is shared.",
            "s",
            "no calls",
        ),
        precise(0.95, _sum(TPOT, "_bucket", by="le")),
        per_token,
    )


def _output_now() -> AnyPanel:
    return figure(
        About(
            "Output tokens/s", "Output tokens per second, all chosen models together.", "none", "no calls", decimals=1
        ),
        Query(WRITTEN),
        colours.TRAFFIC,
    )


def _running_now() -> AnyPanel:
    return figure(
        About("Running", "Requests in the current batches, on all vLLM engines.", "none", "no vLLM", decimals=0),
        Query(RUNNING),
        colours.TRAFFIC,
    )


def _waiting_now(limits: Limits) -> AnyPanel:
    queue_length = limits.alert("LlmQueueGrowing")
    return number(
        About(
            "Waiting",
            f"Requests in the queue. Good: under {plain(queue_length.first)}. A queue that stays means that the "
            "GPU is the limit: add a replica or shorten the prompts.",
            "none",
            "no vLLM",
            decimals=0,
        ),
        Query(WAITING),
        queue_length,
    )


def _kv_now(limits: Limits) -> AnyPanel:
    kv = limits.alert("LlmKvCachePressure")
    return number(
        About(
            "KV cache used",
            f"Good: under {percent(kv.first)}. When it is full, requests are preempted and start again. Low while "
            "requests wait: the limit is elsewhere.",
            "percentunit",
            "no vLLM",
            decimals=0,
        ),
        Query(KV_USED),
        kv,
    )


def _first_token_times(limits: Limits) -> AnyPanel:
    first_token = limits.slo("first_token")
    return lines(
        About(
            "Time to first token",
            f"Good: p95 under {seconds(first_token.first)}. It rises with the queue: too few replicas. It rises "
            "alone: longer prompts.",
            "s",
            NO_CALLS,
        ),
        _percentiles(TTFT),
        first_token,
    )


def _per_token_times(limits: Limits) -> AnyPanel:
    per_token = limits.slo("inter_token")
    return lines(
        About(
            "Time per output token",
            f"Good: under {seconds(per_token.first)}. It rises with the running requests: reduce the batch size, "
            "or add a replica.",
            "s",
            NO_CALLS,
        ),
        _percentiles(TPOT),
        per_token,
    )


def _whole_times(limits: Limits) -> AnyPanel:
    return lines(
        About(
            "Request duration",
            "Good: p95 under the dashed line. It rises while first token and time per token stay level: "
            "responses are longer.",
            "s",
            NO_CALLS,
        ),
        _percentiles(WHOLE),
        limits.signal("model_inference_time_p95"),
    )


def _token_rates() -> AnyPanel:
    return lines(
        About(
            "Token throughput",
            "Input: prompts. Output: responses. Output that stays level while requests rise shows the limit of "
            "the GPU.",
            "none",
            NO_CALLS,
        ),
        [Query(WRITTEN, "output tokens", colours.TRAFFIC), Query(READ, "input tokens", colours.FAST)],
    )


def _per_model() -> AnyPanel:
    return lines(
        About(
            "Output tokens by model",
            "Tokens per second. Good: the mix you planned for.",
            "none",
            NO_CALLS,
        ),
        [
            Query(
                _tokens("output", "vllm:generation_tokens_total", by="gen_ai_request_model"), "{{gen_ai_request_model}}"
            )
        ],
    )


def _queue() -> AnyPanel:
    return lines(
        About(
            "Running and waiting requests",
            "Good: none waits. Waiting rises while running stays level: the batch is full, add a replica.",
            "none",
            NO_VLLM,
        ),
        [Query(RUNNING, "running", colours.TRAFFIC), Query(WAITING, "waiting", colours.SLOW)],
    )


def _queue_time(limits: Limits) -> AnyPanel:
    queue_wait = limits.alert("LlmQueueTimeLong")
    return lines(
        About(
            "Queue time",
            f"From arrival to the start of processing. Good: under {seconds(queue_wait.first)}. Below 0.3 s, "
            "vLLM's histogram has one bucket.",
            "s",
            NO_VLLM,
        ),
        _percentiles(("vllm:request_queue_time_seconds",)),
        queue_wait,
    )


def _caches(limits: Limits) -> AnyPanel:
    kv = limits.alert("LlmKvCachePressure")
    return lines(
        About(
            "KV-cache use, prefix hit rate",
            f"Good: KV cache under {percent(kv.first)}. Prefix hits: share of prompt tokens that are already "
            "computed; put common text first.",
            "percentunit",
            NO_VLLM,
        ),
        [
            Query(KV_USED, "KV cache used", colours.MEMORY),
            Query(ratio(_sum(PREFIX_HITS), _sum(PREFIX_READS)), "prefix hits", colours.CACHE),
        ],
        kv,
    )


def _preempted() -> AnyPanel:
    return lines(
        About(
            "Preempted and aborted requests",
            "Good: 0. Preempted: the KV cache was full and the request starts again. Aborted: the client disconnected.",
            "reqps",
            NO_VLLM,
        ),
        [
            Query(_sum(("vllm:num_preemptions_total",)), "preempted", colours.SLOW),
            Query(
                f"sum ({_rate('vllm:request_success_total', equal('finished_reason', 'abort'))})",
                "aborted",
                colours.ERRORS,
            ),
        ],
    )


def _gpu(own: str, dcgm: str) -> str:
    # DCGM counts in percent and MiB; a GeForce has no DCGM profile, so that the exporter's NVML is asked first.
    return f"({own}{selector(SERVICE)}) or ({dcgm})"


def _gpu_used() -> AnyPanel:
    return lines(
        About(
            "GPU utilization",
            "Share of time with work on the GPU. Good: high under load. Low while requests wait: the CPU or the "
            "network is the limit.",
            "percentunit",
            NO_GPU,
        ),
        [Query(_gpu("perfloop_gpu_used_ratio", f"DCGM_FI_DEV_GPU_UTIL{selector(SERVICE)} / 100"), "GPU {{gpu}}")],
    )


def _gpu_memory() -> AnyPanel:
    return lines(
        About(
            "GPU memory used",
            "vLLM allocates its share at start. Good: level. A rise means that another program uses the GPU.",
            "percentunit",
            NO_GPU,
        ),
        [
            Query(
                _gpu(
                    "perfloop_gpu_memory_used_ratio",
                    f"DCGM_FI_DEV_FB_USED{selector(SERVICE)} / (DCGM_FI_DEV_FB_USED{selector(SERVICE)}"
                    f" + DCGM_FI_DEV_FB_FREE{selector(SERVICE)})",
                ),
                "GPU {{gpu}}",
            )
        ],
    )


def _gpu_heat(limits: Limits) -> AnyPanel:
    gpu_hot = limits.alert("GpuThrottled")
    return lines(
        About(
            "GPU temperature",
            f"Good: under {plain(gpu_hot.first)} °C. Above, the GPU throttles itself: check fans and airflow.",
            "celsius",
            NO_GPU,
        ),
        [Query(_gpu("perfloop_gpu_temperature_celsius", f"DCGM_FI_DEV_GPU_TEMP{selector(SERVICE)}"), "GPU {{gpu}}")],
        gpu_hot,
    )


def build(limits: Limits) -> Board:
    """The LLM board of a configuration."""
    whole_times = _whole_times(limits)
    return Board(
        uid="llm",
        title="LLM",
        question="How fast are tokens generated, do requests queue, and is the GPU the limit?",
        related=("service", "system"),
        signals={"model_inference_time_p95": whole_times},
        variables=(
            choice("service", "Service", REQUESTS),
            choice("model", "Model", f'{REQUESTS}{{service=~"$service"}}', label_name="gen_ai_request_model"),
        ),
        rows=(
            Row(
                4,
                evenly(
                    _first_token_now(limits),
                    _per_token_now(limits),
                    _output_now(),
                    _running_now(),
                    _waiting_now(limits),
                    _kv_now(limits),
                ),
            ),
            Row(8, evenly(_first_token_times(limits), _per_token_times(limits), whole_times)),
            Row(7, evenly(_token_rates(), _per_model())),
            Row(
                7,
                evenly(_queue(), _queue_time(limits), _caches(limits), _preempted()),
                title="vLLM: queue and caches",
            ),
            Row(7, evenly(_gpu_used(), _gpu_memory(), _gpu_heat(limits)), title="GPU"),
        ),
    )
