"""What an import has found beside the test itself: notes for people, and secrets that are not written down."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from perfloop_base.redaction import is_secret_name, redact, register
from perfloop_base.secret_names import is_secret_parameter
from perfloop_base.visible import visible
from perfloop_loadgen.config.placeholders import escape

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w-]*) +(?=\S)")
_MOST_NOTES = 20
_LONGEST_NAME = 60
# Shorter ones are parts of too many other texts.
_SHORTEST_KNOWN = 8
_LONGEST_NOTE = 300


class ImportProblem(ValueError):  # noqa: N818 - one sentence about a document, as ConfigError is about a setting
    """Why a document cannot be imported; `importing` puts its name before the sentence."""


@dataclass(slots=True)
class Found:
    """Collects notes and secrets. Counts of what was left out become one note each."""

    # Whether fields named as secrets hold some: recordings do, a description has examples or nothing.
    hides_fields: bool = True
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    # By the name of a variable: what it must hold.
    variables: dict[str, str] = field(default_factory=dict)
    # The placeholders of secrets, by their values.
    known: dict[str, str] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        """Add a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def leave_out(self, what: str) -> None:
        """Count something that the test does not have."""
        self.left_out[what] += 1

    def secret(self, name: str, value: object = None, *, holds: str = "") -> str:
        """Return the placeholder of a secret, which the run reads from the environment.

        Args:
            name: what the document calls it; the variable is named after it.
            value: the secret, if the document has it: no message shows it from now on.
            holds: what the variable must hold, where its name does not say it.
        """
        variable = "_".join(_WORDS.findall(name)).upper()[:_LONGEST_NAME] or "SECRET"
        variable = variable if variable[0].isalpha() else f"SECRET_{variable}"
        self.variables.setdefault(variable, holds)
        placeholder = f"${{env:{variable}}}"
        if isinstance(value, str) and len(value) >= _SHORTEST_KNOWN:
            register(value)
            self.known.setdefault(value, placeholder)
        return placeholder

    def header(self, name: str, value: str) -> str:
        """Return a header's value as the test has it: a secret as a placeholder, behind the scheme that it names."""
        if not is_secret_name(name):
            return self.text(value, name)
        scheme = _SCHEME.match(value) if name.lower().endswith("authorization") else None
        if scheme is None:
            return self.secret(name, value)
        holds = "Base64 of user:password" if scheme["scheme"].lower() == "basic" else ""
        return f"{scheme['scheme']} {self.secret(name, value[scheme.end() :], holds=holds)}"

    def parameter(self, name: str, value: str, *, in_query: bool = False) -> str:
        """Return the value of a form's field or of a query's parameter, a secret as a placeholder."""
        secret = is_secret_parameter(name) if in_query else is_secret_name(name)
        return self.secret(name, value) if secret and value and self.hides_fields else self.text(value, name)

    def text(self, text: str, name: str = "secret") -> str:
        """Return a text as the test has it: a secret that was found before is its placeholder wherever it comes again.

        A text that holds another one, known by its form, is a placeholder as a whole.
        """
        kept = escape(text)
        for secret, placeholder in self.known.items():
            # Behind a dollar sign a placeholder would be the text itself.
            if secret in text and f"${secret}" not in text:
                kept = kept.replace(escape(secret), placeholder)
        return kept if kept != escape(text) or redact(text) == text else self.secret(name, text)

    def values(self, value: Any, *, name: str = "") -> Any:
        """Return a JSON value as the test has it: texts escaped, the values of secret names as placeholders."""
        if isinstance(value, dict):
            return {escape(str(key)): self.values(part, name=str(key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self.values(part, name=name) for part in value]
        if isinstance(value, str):
            return self.parameter(name, value)
        return value

    def lines(self) -> list[str]:
        """Return every note, the left-out counts and the variables among them, each a short line."""
        counted = [f"Left out {count} times: {what}." for what, count in self.left_out.most_common()]
        needed = [
            f"Set the variable {name} before a run{f': {holds}' if holds else ''}; no secret is written down here."
            for name, holds in self.variables.items()
        ]
        lines = [*needed, *self.notes, *counted]
        if len(lines) > _MOST_NOTES:
            lines = [*lines[:_MOST_NOTES], f"… and {len(lines) - _MOST_NOTES} more such remarks."]
        return [visible(" ".join(line.split()))[:_LONGEST_NOTE] for line in lines]
