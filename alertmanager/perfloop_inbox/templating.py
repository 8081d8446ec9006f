"""The templates of the inbox's pages: every text in them is escaped, and a missing value is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def load_templates() -> Environment:
    """Return an environment of its own for each user, so that each adds its own filters."""
    return Environment(
        loader=PackageLoader("perfloop_inbox", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
