"""The bodies that the APIs of language models take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfloop_loadgen.config.llm import Api, LlmConfig

Messages = Sequence[Mapping[str, str]]
# Without it, servers that speak OpenAI's chat do not report how many tokens a streamed answer had.
_WITH_USAGE = {"include_usage": True}
# What Anthropic's API refuses to do without.
ANTHROPIC_VERSION = "2023-06-01"


def body_of(llm: LlmConfig, api: Api, messages: Messages, max_tokens: int) -> dict[str, Any]:
    """Return the body that asks for a streamed answer to these messages, with the test's own fields over it."""
    body = {"model": llm.model, **_content(llm.system, api, messages), "stream": True}
    if api in {"chat", "completions"}:
        body["stream_options"] = dict(_WITH_USAGE)
    options: dict[str, Any] = {}
    if llm.temperature is not None:
        options["temperature"] = llm.temperature
    if llm.ignore_eos is not None:
        body["ignore_eos"] = llm.ignore_eos
    if api in {"ollama_chat", "ollama_generate"}:
        body["options"] = {"num_predict": max_tokens, **options}
    else:
        body |= {_limit_name(llm, api): max_tokens, **options}
    return _merged(body, llm.body)


def _limit_name(llm: LlmConfig, api: Api) -> str:
    """Return the name of the most tokens that an answer may have."""
    if api == "responses":
        return "max_output_tokens"
    # Asked for by its newer name, also in the test's own fields: both together are refused.
    newer = llm.max_completion_tokens is not None or "max_completion_tokens" in llm.body
    return "max_completion_tokens" if api == "chat" and newer else "max_tokens"


def _content(system: str | None, api: Api, messages: Messages) -> dict[str, Any]:
    instructed = [*([{"role": "system", "content": system}] if system is not None else []), *messages]
    match api:
        case "completions":
            return {"prompt": _joined(instructed)}
        case "responses":
            return {"input": list(messages), **({"instructions": system} if system is not None else {})}
        case "messages":
            return {"messages": list(messages), **({"system": system} if system is not None else {})}
        case "ollama_generate":
            return {"prompt": _joined(messages), **({"system": system} if system is not None else {})}
    return {"messages": instructed}


def _joined(messages: Messages) -> str:
    return "\n".join(message["content"] for message in messages)


def _merged(body: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the test's own fields: objects are merged, and null leaves a field out."""
    merged = dict(body)
    for name, value in own.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), dict):
            merged[name] = _merged(merged[name], value)
        else:
            merged[name] = value
    return merged
