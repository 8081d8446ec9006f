"""The base of every section of the file. It has a file of its own because every other one imports it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, and an assignment in Python is checked like a line of the file."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


def known_keys(section: type[Strict] = Strict) -> set[str]:
    """Return the keys of a section and of all that derive from it."""
    return set(section.model_fields).union(*map(known_keys, section.__subclasses__()))
