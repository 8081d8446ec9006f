"""Texts in requests: how long they may be, and the characters that every database can store."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _check_zeros(text: str) -> str:
    # PostgreSQL cannot store it: https://www.postgresql.org/docs/current/datatype-character.html
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    return text


_NO_ZEROS = AfterValidator(_check_zeros)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), _NO_ZEROS]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), _NO_ZEROS]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), _NO_ZEROS]
Content = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000), _NO_ZEROS]
