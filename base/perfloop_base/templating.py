"""The templates of pages and reports: every text in them is escaped, and a value that is missing is an error.

Needs Jinja, of the extras analyzer, loadgen, inbox and demo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def load_templates(directory: Path, finalize: Callable[[object], object] | None = None) -> Environment:
    """Return an environment of its own for each user, so that each adds its own filters.

    Args:
        directory: Where the templates are.
        finalize: What becomes of every value before it is escaped.
    """
    return Environment(
        loader=FileSystemLoader(directory),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
