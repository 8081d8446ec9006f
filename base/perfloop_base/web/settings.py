"""How the pages of one program are protected, as its flags say."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfloop_base.web.limits import Limits


@dataclass(frozen=True, slots=True)
class Web:
    """The defaults are those of the flags.

    Attributes:
        config_file: The web configuration file, empty for none.
        allowed_hosts: Names beside the private ones that requests may ask for.
        extra: The extra of this distribution that brings bcrypt to the program.
        token: A bearer token that the application checks itself, empty for none.
        authenticates: Whether the application lets nothing be changed without an Authorization header, and says so
            itself: no content type is asked for then.
        limits: What a client may take.
    """

    config_file: str = ""
    allowed_hosts: tuple[str, ...] = ()
    extra: str = "stack"
    token: str = ""
    authenticates: bool = False
    limits: Limits = field(default_factory=Limits)


DEFAULTS = Web()
