"""vLLM: queue, batch, caches, the phases of a call, lengths; all from the engine's own series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.limits import percent, plain, seconds
from perfloop_boards.links import to_runbook
from perfloop_boards.model.selection import (
    NAME,
    NO_VLLM,
    OF_MODEL,
    OF_SERVICE,
    SERVING,
    bucket_rates,
    gauge,
    ranks,
    total,
)
from perfloop_boards.panels import About, figure, heat, lines, number
from perfloop_boards.queries import Query, equal, share

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NOTHING = "no vLLM"
KV_USED = gauge("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", how="max")
RUNNING = gauge("vllm:num_requests_running")
CAPACITY = equal("reason", "capacity")
ENDED = ("vllm:request_success_total",)
PREFIX_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
PREFIX_READS = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")


def _waiting(by: str = "") -> str:
    """Return what the alert counts: what is deferred waits for something else; older vLLM has no reason."""
    capacity = gauge("vllm:num_requests_waiting_by_reason", by=by, only=CAPACITY)
    return f"{capacity} or {gauge('vllm:num_requests_waiting', by=by)}"


def row(limits: Limits) -> Row:
    """Opened where vLLM is scraped; without it nothing here has data."""
    panels = [
        *((6, panel) for panel in (_running_now(), _waiting_now(limits), _kv_now(limits), _hits_now())),
        *((8, panel) for panel in (_queue(), _queue_time(limits), _by_model())),
        *((8, panel) for panel in (_caches(limits), _preempted(), _batch())),
        *((6, panel) for panel in (_phase("prefill"), _phase("decode"), _most(), _asked())),
        *((12, panel) for panel in (_length("prompt"), _length("generation"))),
    ]
    return Row(7, panels, title="vLLM: queue, caches and phases", collapsed=True)


def _running_now() -> AnyPanel:
    return figure(
        About(
            "Running",
            "Requests in the current batches, on all vLLM engines.",
            "none",
            NOTHING,
            decimals=0,
            links=OF_SERVICE,
        ),
        Query(RUNNING),
        colours.TRAFFIC,
        watch=SERVING,
    )


def _waiting_now(limits: Limits) -> AnyPanel:
    queue_length = limits.alert("LlmQueueGrowing")
    return number(
        About(
            "Waiting",
            f"Requests in the queue. Good: under {plain(queue_length.first)}. A queue that stays means that the "
            "GPU is the limit: add a replica or shorten the prompts.",
            "none",
            NOTHING,
            decimals=0,
            links=(to_runbook("LlmQueueGrowing"), *OF_SERVICE),
        ),
        Query(_waiting()),
        queue_length,
        watch=SERVING,
    )


def _kv_now(limits: Limits) -> AnyPanel:
    kv = limits.alert("LlmKvCachePressure")
    return number(
        About(
            "KV cache used",
            f"Good: under {percent(kv.first)}. When it is full, requests are preempted and start again. Low while "
            "requests wait: the limit is elsewhere.",
            "percentunit",
            NOTHING,
            decimals=0,
            links=(to_runbook("LlmKvCachePressure"), *OF_SERVICE),
        ),
        Query(KV_USED),
        kv,
        watch=SERVING,
    )


def _hits_now() -> AnyPanel:
    return figure(
        About(
            "Prefix hit rate",
            "Share of prompt tokens that are already computed. Higher is better: put common text first.",
            "percentunit",
            NOTHING,
            decimals=0,
            links=(to_runbook("LlmPrefixCacheCollapsed"), *OF_SERVICE),
        ),
        Query(share(total(PREFIX_HITS), total(PREFIX_READS))),
        colours.CACHE,
        watch=SERVING,
    )


def _queue() -> AnyPanel:
    return lines(
        About(
            "Running and waiting requests",
            "Good: none waits. Waiting rises while running stays level: the batch is full, add a replica.",
            "none",
            NO_VLLM,
            links=(to_runbook("LlmQueueGrowing"), *OF_SERVICE),
        ),
        [Query(RUNNING, "running", colours.TRAFFIC), Query(_waiting(), "waiting", colours.SLOW)],
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
            links=(to_runbook("LlmQueueTimeLong"), *OF_SERVICE),
        ),
        ranks(("vllm:request_queue_time_seconds",)),
        queue_wait,
    )


def _caches(limits: Limits) -> AnyPanel:
    kv = limits.alert("LlmKvCachePressure")
    return lines(
        About(
            "KV-cache use and prefix hit rate",
            f"Good: KV cache under {percent(kv.first)}. Prefix hits: share of prompt tokens that are already "
            "computed; put common text first.",
            "percentunit",
            NO_VLLM,
            links=(to_runbook("LlmKvCachePressure"), *OF_SERVICE),
        ),
        [
            Query(KV_USED, "KV cache used", colours.MEMORY),
            Query(share(total(PREFIX_HITS), total(PREFIX_READS)), "prefix hits", colours.CACHE),
        ],
        kv,
    )


def _preempted() -> AnyPanel:
    return lines(
        About(
            "Preempted, aborted and failed requests",
            "Good: 0. Preempted: the KV cache was full and the request starts again. Aborted: the client disconnected. "
            "Failed: the engine ended it with an error.",
            "reqps",
            NO_VLLM,
            links=(to_runbook("LlmPreemptions"), *OF_SERVICE),
        ),
        [
            Query(total(("vllm:num_preemptions_total",)), "preempted", colours.SLOW),
            Query(total(ENDED, equal("finished_reason", "abort")), "aborted", colours.TRAFFIC),
            Query(total(ENDED, equal("finished_reason", "error")), "failed", colours.ERRORS),
        ],
    )


def _phase(name: str) -> AnyPanel:
    good = {
        "prefill": "Reading the prompt, without the queue. Good: level. It rises with the length of the prompts.",
        "decode": "Writing the response. Good: level. It rises with the length of the responses and with the batch.",
    }[name]
    return lines(
        About(f"{name.capitalize()} time", good, "s", NO_VLLM, links=OF_SERVICE),
        ranks((f"vllm:request_{name}_time_seconds",)),
    )


def _by_model() -> AnyPanel:
    model = "{{model_name}}"
    return lines(
        About(
            "Running and waiting by model",
            "Good: none waits. One model alone: give it a replica of its own.",
            "none",
            NO_VLLM,
            links=OF_SERVICE,
        ),
        [
            Query(gauge("vllm:num_requests_running", by="model_name"), f"running · {model}"),
            Query(_waiting(by="model_name"), f"waiting · {model}"),
        ],
    )


def _batch() -> AnyPanel:
    return lines(
        About(
            "Tokens of a step",
            "How many tokens the engine works on at once. Good: many under load: the GPU then works with full batches.",
            "none",
            NO_VLLM,
            links=OF_SERVICE,
        ),
        ranks(("vllm:iteration_tokens_total",)),
    )


def _length(what: str) -> AnyPanel:
    title = {"prompt": "Prompt length (vLLM)", "generation": "Generation length (vLLM)"}[what]
    good = {
        "prompt": "Tokens of each prompt. Good: a band that stays where it is. Longer prompts: the first token is "
        "later.",
        "generation": "Tokens of each response. Good: a band that stays where it is. A line at one length: cut off "
        "there.",
    }[what]
    return heat(
        About(title, good, "none", NO_VLLM, links=OF_SERVICE),
        Query(bucket_rates((f"vllm:request_{what}_tokens",)), "{{le}}"),
    )


def _most() -> AnyPanel:
    return lines(
        About(
            "Max generation tokens",
            "The longest response of each request that asked for several. Good: well below what the model allows.",
            "none",
            NO_VLLM,
            links=OF_SERVICE,
        ),
        ranks(("vllm:request_max_num_generation_tokens",)),
    )


def _asked() -> AnyPanel:
    return lines(
        About(
            "Tokens that clients allow",
            "The most tokens that a request asks for (max_tokens), by model, on average. Far above the response "
            "length: the engine plans for more than it needs.",
            "none",
            NO_VLLM,
            links=OF_MODEL,
        ),
        [
            Query(
                f"{total(('vllm:request_params_max_tokens',), suffix='_sum', by=NAME)}"
                f" / ({total(('vllm:request_params_max_tokens',), suffix='_count', by=NAME)} > 0)",
                f"{{{{{NAME}}}}}",
            )
        ],
    )
