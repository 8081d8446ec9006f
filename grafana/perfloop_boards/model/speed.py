"""How fast tokens come, over all models and by model, and where the time of a call goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.precision import precise
from perfloop_boards import colours
from perfloop_boards.board import Row, evenly
from perfloop_boards.limits import seconds
from perfloop_boards.links import to_runbook
from perfloop_boards.model.selection import (
    NAME,
    NO_CALLS,
    OF_MODEL,
    OF_SERVICE,
    SERVING,
    TPOT,
    TTFT,
    WHOLE,
    bucket_rates,
    quantile,
    ranks,
    total,
)
from perfloop_boards.panels import About, figure, lines, number, percentile, stacked
from perfloop_boards.queries import Query, equal, known, share

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NOTHING = "no calls"
WRITTEN = ("gen_ai_server_token_usage_total", "vllm:generation_tokens_total")
READ = ("gen_ai_server_token_usage_total", "vllm:prompt_tokens_total")
_OWN_COUNT, _ENGINE_COUNT = (f"{name}_count" for name in WHOLE)
FAILED = ("gen_ai_server_errors_total",)
ENDED = ("vllm:request_success_total",)


def tokens(kind: str, by: str = "") -> str:
    """Return the tokens per second that were read (`input`) or written (`output`)."""
    engine = {"output": "vllm:generation_tokens_total", "input": "vllm:prompt_tokens_total"}[kind]
    own = total(("gen_ai_server_token_usage_total",), equal("gen_ai_token_type", kind), by=by)
    return _both(own, total((engine,), by=by))


def _both(own: str, engine: str) -> str:
    """Return the sum of two, each of which may be missing; nothing where both are."""
    return f"({own} + {engine}) or {own} or {engine}"


def figures(limits: Limits) -> Row:
    """What users wait for, and how much is done."""
    first_token, per_token = limits.slo("first_token"), limits.slo("inter_token")
    return Row(
        4,
        evenly(
            percentile(
                About(
                    "First token p95",
                    f"Time until the first token appears. Good: under {seconds(first_token.first)}. Above: see the "
                    "queue below.",
                    "s",
                    NOTHING,
                    links=OF_SERVICE,
                ),
                precise(0.95, bucket_rates(TTFT)),
                first_token,
                watch=SERVING,
            ),
            percentile(
                About(
                    "Per token p95",
                    f"Good: under {seconds(per_token.first)}, faster than people read. Above: batches are too large, "
                    "or the GPU is shared.",
                    "s",
                    NOTHING,
                    links=OF_SERVICE,
                ),
                precise(0.95, bucket_rates(TPOT)),
                per_token,
                watch=SERVING,
            ),
            _whole(limits),
            _failed(limits),
            _calls(),
            _output(),
        ),
    )


def _whole(limits: Limits) -> AnyPanel:
    whole = limits.signal("model_inference_time_p95")
    return percentile(
        About(
            "Request p95",
            f"Whole calls. Good: under {seconds(whole.first)}. It follows the length of the responses: see the "
            "time per token first.",
            "s",
            NOTHING,
            links=OF_SERVICE,
        ),
        precise(0.95, bucket_rates(WHOLE)),
        whole,
        watch=SERVING,
    )


def _failed(limits: Limits) -> AnyPanel:
    aborted = limits.alert("LlmRequestsAborted")
    bad = _both(total(FAILED), total(ENDED, 'finished_reason=~"abort|error"'))
    every = _both(total(WHOLE[:1], suffix="_count"), total(ENDED))
    return number(
        About(
            "Failed calls",
            "Calls of models that failed or were broken off by the client. Good: 0. See the finish reasons below.",
            "percentunit",
            NOTHING,
            decimals=1,
            links=(to_runbook("LlmRequestsAborted"), *OF_SERVICE),
        ),
        Query(known(share(bad, every))),
        aborted,
        watch=SERVING,
    )


def _calls() -> AnyPanel:
    return figure(
        About(
            "Calls", "Calls per second, of all chosen models together.", "reqps", NOTHING, decimals=1, links=OF_SERVICE
        ),
        Query(total(WHOLE, suffix="_count")),
        colours.TRAFFIC,
        watch=SERVING,
    )


def _output() -> AnyPanel:
    return figure(
        About(
            "Output tokens/s",
            "Output tokens per second, all chosen models together.",
            "none",
            NOTHING,
            decimals=1,
            links=OF_SERVICE,
        ),
        Query(tokens("output")),
        colours.TRAFFIC,
        watch=SERVING,
    )


def first_token_times(limits: Limits) -> AnyPanel:
    """Percentiles of the time to the first token."""
    first_token = limits.slo("first_token")
    return lines(
        About(
            "Time to first token",
            f"Good: p95 under {seconds(first_token.first)}. It rises with the queue: too few replicas. It rises "
            "alone: longer prompts.",
            "s",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        ranks(TTFT),
        first_token,
    )


def per_token_times(limits: Limits) -> AnyPanel:
    """Percentiles of the time per output token."""
    per_token = limits.slo("inter_token")
    return lines(
        About(
            "Time per output token",
            f"Good: under {seconds(per_token.first)}. It rises with the running requests: reduce the batch size, "
            "or add a replica.",
            "s",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        ranks(TPOT),
        per_token,
    )


def whole_times(limits: Limits) -> AnyPanel:
    """Percentiles of whole calls, the panel of the signal."""
    return lines(
        About(
            "Request duration",
            "Good: p95 under the dashed line. It rises while first token and time per token stay level: "
            "responses are longer.",
            "s",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        ranks(WHOLE),
        limits.signal("model_inference_time_p95"),
    )


def work() -> Row:
    """What is done, how it ends, and where the time goes."""
    return Row(7, evenly(_rates(), _time(), _reasons()))


def _rates() -> AnyPanel:
    return lines(
        About(
            "Token throughput",
            "Input: prompts. Output: responses. Output that stays level while requests rise shows the limit of "
            "the GPU.",
            "none",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        [
            Query(tokens("output"), "output tokens", colours.TRAFFIC),
            Query(tokens("input"), "input tokens", colours.FAST),
            Query(total(("vllm:prompt_tokens_cached_total",)), "of these from the cache", colours.CACHE),
        ],
    )


def _mean(part: str, engine: str) -> str:
    """Return the mean seconds of a phase: `part` is what ours add up to per second, `engine` vLLM's histogram."""
    own_calls = total(TTFT[:1], suffix="_count")
    engine_calls = total((engine,), suffix="_count")
    return known(f"({_both(part, total((engine,), suffix='_sum'))}) / ({_both(own_calls, engine_calls)})")


def _time() -> AnyPanel:
    first = total(TTFT[:1], suffix="_sum")
    decode = f"({total(WHOLE[:1], suffix='_sum')} - {first})"
    queue = "vllm:request_queue_time_seconds"
    return stacked(
        About(
            "Prefill and decode time",
            "Mean seconds of a call. Queue: waits for a place in the batch. Prefill: reads the prompt, until the first "
            "token. Decode: writes the response. The part that grows is the one to shorten.",
            "s",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        [
            Query(
                known(f"{total((queue,), suffix='_sum')} / {total((queue,), suffix='_count')}"), "queue", colours.SLOW
            ),
            Query(_mean(first, "vllm:request_prefill_time_seconds"), "prefill", colours.DATABASE),
            Query(_mean(decode, "vllm:request_decode_time_seconds"), "decode", colours.MODEL),
        ],
    )


def _reasons() -> AnyPanel:
    calls, failed = total(WHOLE[:1], suffix="_count"), total(FAILED)
    return stacked(
        About(
            "Finish reasons",
            "Calls per second by how they ended. Good: stop, and completed where the program does not say why. Length: "
            "cut off at the most tokens allowed. Abort: the client left.",
            "reqps",
            NO_CALLS,
            links=OF_SERVICE,
        ),
        [
            Query(f"{calls} - ({failed} or {calls} * 0)", "completed", colours.TRAFFIC),
            Query(failed, "failed", colours.ERRORS),
            Query(total(ENDED, by="finished_reason"), "{{finished_reason}}"),
        ],
        known={"stop": colours.DATABASE, "length": colours.CALLER, "abort": colours.SLOW, "error": "dark-red"},
    )


def _amounts_by_model(named: str) -> tuple[AnyPanel, AnyPanel]:
    return (
        lines(
            About(
                "Calls by model",
                "Per second. Good: the mix that you planned for.",
                "reqps",
                NO_CALLS,
                links=OF_MODEL,
            ),
            [Query(total(WHOLE, suffix="_count", by=NAME), named)],
        ),
        lines(
            About(
                "Output tokens by model",
                "Tokens per second. Good: the mix that you planned for.",
                "none",
                NO_CALLS,
                links=OF_MODEL,
            ),
            [Query(tokens("output", by=NAME), named)],
        ),
    )


def by_model(limits: Limits) -> Row:
    """The same, each model on its own line."""
    first_token, per_token = limits.slo("first_token"), limits.slo("inter_token")
    named = f"{{{{{NAME}}}}}"
    return Row(
        7,
        evenly(
            lines(
                About(
                    "First token p95 by model",
                    f"Good: under {seconds(first_token.first)}. One model alone: its prompts are longer, or it has "
                    "too few replicas.",
                    "s",
                    NO_CALLS,
                    links=OF_MODEL,
                ),
                [Query(known(quantile(0.95, TTFT, NAME)), named)],
                first_token,
            ),
            lines(
                About(
                    "Per token p95 by model",
                    f"Good: under {seconds(per_token.first)}. A larger model is slower; one that became slower shares "
                    "its GPU.",
                    "s",
                    NO_CALLS,
                    links=OF_MODEL,
                ),
                [Query(known(quantile(0.95, TPOT, NAME)), named)],
                per_token,
            ),
            *_amounts_by_model(named),
        ),
        title="By model",
    )
