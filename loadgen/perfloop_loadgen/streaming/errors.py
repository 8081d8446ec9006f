"""Errors that a server reports inside of a stream, after its 200."""

from __future__ import annotations

from typing import Any

import orjson

from perfloop_loadgen.streaming.pieces import part_of

_LONGEST = 100
# Fields that name an error, and fields that describe it, the best first.
_NAMES = ("type", "error_type", "code", "error_code", "status")
_DESCRIPTIONS = ("message", "detail", "error", "msg")
# Names and types of events of OpenAI's Responses and Assistants; other feeds may report the failures of something else.
_OF_MODELS = ("response.", "thread.")
_FAILED = (".failed", ".error", ".cancelled", ".expired")
_FIRST_ERROR, _LAST_ERROR = 400, 599
# Reasons to finish that are failures of the server, not ends of an answer.
BROKEN_FINISHES = frozenset({"error", "abort", "cancelled", "insufficient_system_resource"})


def is_failure_name(name: str) -> bool:
    """Return whether an event of this name, or with this `type`, says that its stream has failed."""
    return name == "error" or (name.startswith(_OF_MODELS) and name.endswith(_FAILED))


def error_of_event(name: str, data: bytes) -> str:
    """Return the kind of an error that the event's own name announces: as its data says, else by that name."""
    try:
        payload = orjson.loads(data)
    except ValueError:
        payload = data.decode("utf-8", "replace")
    return (error_of(payload) if isinstance(payload, dict) else "") or _named(payload) or name


def error_of_stray(name: bytes, data: bytes) -> str:
    """Return the kind of an error that is bare between the events of a stream; empty if it is none."""
    if name == b"error" and data:
        return error_of_event("error", data)
    try:
        payload = orjson.loads(data)
    except ValueError:
        return ""
    return error_of(payload) if isinstance(payload, dict) else ""


def error_of(payload: dict[str, Any]) -> str:
    """Return the kind of the error that a payload reports; empty if it reports none.

    OpenAI, OpenRouter and Ollama: `{"error": …}`, an object or a text. vLLM's older form: `{"object": "error", …}`.
    Anthropic and the Responses API: `{"type": "error", …}`, `{"type": "response.failed", "response": {"error": …}}`.
    """
    error = payload.get("error")
    if error and (error is True or not isinstance(error, int | float)):  # a number is a measurement of that name
        return _named(error) or _named(payload) or "error"
    kind = payload.get("type")
    if isinstance(kind, str) and is_failure_name(kind):
        return _named(part_of(payload.get("response"), "error")) or _named({**payload, "type": None}) or kind
    if payload.get("object") == "error":
        return _named(payload) or "error"
    if payload.get("error_code"):
        return _named(payload)
    errors = payload.get("errors")
    if isinstance(errors, list) and errors:
        return _named(errors[0]) or "errors"
    return ""


def error_of_unknown(payload: dict[str, Any]) -> str:
    """Return the kind of the error that a payload of no known format reports as many services do; empty if none.

    A code from 400 on with a message (llama.cpp and gateways), `status: error` or `success: false` with a message, a
    lone `detail` (FastAPI), and Cohere's `finish_reason: ERROR`.
    """
    codes = [payload.get(name) for name in ("code", "status", "status_code", "statusCode")]
    is_bad = any(isinstance(code, int) and _FIRST_ERROR <= code <= _LAST_ERROR for code in codes)
    is_bad = is_bad or payload.get("status") in {"error", "fail", "failed"} or payload.get("success") is False
    if is_bad and _first(payload, _DESCRIPTIONS):
        return _named(payload)
    if payload.keys() == {"detail"}:
        return _named(payload) or "detail"
    finish = payload.get("finish_reason") or part_of(payload.get("delta"), "finish_reason")
    if isinstance(finish, str) and finish.lower() in BROKEN_FINISHES:
        return f"finish_reason {finish}"
    return ""


def _named(error: Any) -> str:
    """Return an error's name and description on one line, shortened; empty where it has neither."""
    if isinstance(error, dict):
        texts = [_first(error, _NAMES), _first(error, _DESCRIPTIONS)]
    else:
        texts = [error if isinstance(error, str) else ""]
    text = " ".join(": ".join(text for text in texts if text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _first(error: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = error.get(name)
        if value and isinstance(value, str | int) and value is not True:
            return str(value)
    return ""
