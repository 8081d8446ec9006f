"""The series of models: our own and vLLM's, old and new spellings, under one label for the model."""

from __future__ import annotations

from perfloop_boards.links import of_label, to_board
from perfloop_boards.queries import WINDOW, Query, percentiles, selector
from perfloop_boards.watches import SERVICE_UP, Watch

SERVICE = 'service=~"$service"'
NAME = "gen_ai_request_model"
REQUESTS = "service_model:gen_ai_server_requests:rate1m"  # our series and vLLM's, under one label
NO_CALLS = "No model calls in this time range."
NO_VLLM = "vLLM is not scraped: add it to prometheus/targets/."
# Ours, and vLLM's spellings of the same thing: the newest first. vLLM's `model_name` becomes our label.
TTFT = ("gen_ai_server_time_to_first_token_seconds", "vllm:time_to_first_token_seconds")
TPOT = (
    "gen_ai_server_time_per_output_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:time_per_output_token_seconds",
)
WHOLE = ("gen_ai_server_request_duration_seconds", "vllm:e2e_request_latency_seconds")

OF_SERVICE = (to_board("Open the service", "service", "service"),)
OF_MODEL = (to_board("Show this model alone", "llm", "service", model=of_label(NAME)), *OF_SERVICE)

# A service of models is one that had a call, or an engine, within a day: others that are down say nothing about models.
_SERIES = '__name__=~"gen_ai_server_request_duration_seconds_count|vllm:num_requests_running"'
_CALLED = f"present_over_time({selector(_SERIES, SERVICE)}[1d])"
_UP = f"{SERVICE_UP} and on (service) ({_CALLED})"
SERVING = Watch(answering=f"({_UP}) > 0", down=f"count(({_UP}) == 0)")


def rates(spellings: tuple[str, ...], *matchers: str, suffix: str = "") -> str:
    """Return the rates of one thing in its spellings; of two with the same labels the first wins, others add up."""
    return " or ".join(_rate(name + suffix, *matchers) for name in spellings)


def _rate(metric: str, *matchers: str) -> str:
    own = metric.startswith("gen_ai_")
    of_model = f'{NAME if own else "model_name"}=~"$model"'
    series = f"rate({metric}{selector(SERVICE, of_model, *matchers)}[{WINDOW}])"
    return series if own else f'label_replace({series}, "{NAME}", "$1", "model_name", "(.+)")'


def total(spellings: tuple[str, ...], *matchers: str, suffix: str = "", by: str = "") -> str:
    """Return the sum of the rates, by labels that are separated by commas."""
    return f"sum{f' by ({by})' if by else ''} ({rates(spellings, *matchers, suffix=suffix)})"


def bucket_rates(spellings: tuple[str, ...], *matchers: str, by: str = "") -> str:
    """Return the rates of the buckets of a histogram."""
    return total(spellings, *matchers, suffix="_bucket", by=f"le, {by}" if by else "le")


def quantile(q: float, spellings: tuple[str, ...], by: str = "") -> str:
    """Return a quantile over all instances together."""
    return f"histogram_quantile({q:g}, {bucket_rates(spellings, by=by)})"


def ranks(spellings: tuple[str, ...]) -> list[Query]:
    """Return the usual percentiles."""
    return percentiles(lambda q: quantile(q, spellings))


def gauge(*names: str, how: str = "sum", by: str = "", only: str = "") -> str:
    """Return a gauge of vLLM over all engines, in the spelling that it has; `only` is one more matcher."""
    of_model = selector(SERVICE, 'model_name=~"$model"', *([only] if only else []))
    return f"{how}{f' by ({by})' if by else ''} ({' or '.join(name + of_model for name in names)})"
