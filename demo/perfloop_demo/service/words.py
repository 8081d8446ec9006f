"""Texts in requests: how long they may be, and what every database can keep."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _check_zeros(text: str) -> str:
    # PostgreSQL keeps no text with it, https://www.postgresql.org/docs/current/datatype-character.html
    if "\x00" in text:
        message = "must not hold the character U+0000"
        raise ValueError(message)
    return text


_NO_ZEROS = AfterValidator(_check_zeros)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), _NO_ZEROS]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), _NO_ZEROS]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), _NO_ZEROS]
Content = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000), _NO_ZEROS]
