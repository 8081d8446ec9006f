"""What every section of the file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, and an assignment in Python is checked like a line of the file."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)
