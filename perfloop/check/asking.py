"""Asking a program over HTTP: an answer of the form that is expected, in bounded time, or one sentence why not."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from perfloop.check.findings import SilentError, UnansweredError
from perfloop_base.fetching import fetch
from perfloop_base.redaction import redact, redact_url, split_user
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS = 10.0
_LARGEST_ANSWER = 64 * 1024**2  # the rules of a large Prometheus have some MB
_LONGEST_REASON = 200
# A port beyond 65535 is an OverflowError in an ExceptionGroup.
_NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError, ExceptionGroup, zlib.error)


class Answer(BaseModel):
    """Part of a program's answer: what is not asked for is ignored, of newer versions too."""

    model_config = ConfigDict(extra="ignore")


T = TypeVar("T", bound=BaseModel)


def read_text(program: str, url: str, path: str, parameters: Mapping[str, str | float] | None = None) -> str:
    """Return the text of an answer with status 200.

    Args:
        program: Its name for people.
        url: Its address, with user and password where it needs them.
        path: From the address on.
        parameters: Of the query.

    Raises:
        SilentError: It did not answer in time, or not at all.
        UnansweredError: It answered with another status.
    """
    bare, authorization = split_user(url)
    shown = redact_url(url)
    try:
        status, body = asyncio.run(_fetch(bare + path, parameters or {}, authorization))
    except TimeoutError as error:
        raise SilentError(f"{program} at {shown} did not answer within {TIMEOUT_SECONDS:.0f} s") from error
    except _NO_ANSWER as error:
        reason = visible(redact(str(error) or type(error).__name__))[:_LONGEST_REASON]
        raise SilentError(f"{program} at {shown} did not answer: {reason}") from error
    if status != httpx.codes.OK:
        raise UnansweredError(f"{program} at {shown} answered {path} with status {status}")
    return body.decode(errors="replace")


def read_answer(
    kind: type[T], program: str, url: str, path: str, parameters: Mapping[str, str | float] | None = None
) -> T:
    """Return an answer of JSON.

    Raises:
        UnansweredError: There is none, or it is of another form: another program, or a version that is not known.
    """
    text = read_text(program, url, path, parameters)
    try:
        return kind.model_validate_json(text)
    except (ValidationError, RecursionError, ValueError) as error:
        raise UnansweredError(
            f"{program} at {redact_url(url)} answered {path} in a form that is not known: {_place(error)}"
        ) from error


def _place(error: Exception) -> str:
    """Return where an answer differs from its form; never a value of it."""
    if not isinstance(error, ValidationError):
        return "it is no JSON"
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return "it is no JSON"
    place = ".".join(map(str, first["loc"])) or "the whole"
    return visible(f"{place}: {first['msg']}")[:_LONGEST_REASON]


async def _fetch(url: str, parameters: Mapping[str, str | float], authorization: str | None) -> tuple[int, bytes]:
    headers = {"Authorization": authorization} if authorization else {}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        return await fetch(
            client, url, parameters, headers=headers, seconds=TIMEOUT_SECONDS, most_bytes=_LARGEST_ANSWER
        )
