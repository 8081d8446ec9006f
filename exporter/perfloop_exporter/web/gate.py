"""The web configuration file, applied to the exporter's own requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.web.gate import Gate
from perfloop_exporter.web.messages import Request, Response, text_response

if TYPE_CHECKING:
    from perfloop_base.web.refusals import Refusal


class ConfiguredGate(Gate):
    """The gate of perfloop_base, in the server's words."""

    def check(self, request: Request) -> Response | None:
        """Return the error response to a request beyond the rate limit or without valid credentials, else None."""
        refused = self.refusal(request.headers.get("authorization", ""))
        return None if refused is None else refusal_response(refused)


def refusal_response(refused: Refusal) -> Response:
    """Return a refusal as a response."""
    return text_response(refused.status, f"{refused.text}\n")._replace(headers=refused.headers)
