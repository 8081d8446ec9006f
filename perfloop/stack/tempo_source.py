"""What Compose's `tempo-source` container does once: Tempo becomes a data source of Grafana, by Grafana's own API.

It is part of the profile `traces` as Tempo is, so that Grafana has the source only where there is a Tempo; a file of
its provisioning would be there in any case. `python -m perfloop.stack.tempo_source` needs no argument in the container.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfloop.stack.errors import StackError
from perfloop.stack.render import tempo_source
from perfloop_base.cli import Parser, guard
from perfloop_base.errors import ExitCode
from perfloop_base.redaction import register

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "perfloop.stack.tempo_source"
_TIMEOUT_SECONDS = 10.0
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 2.0
_CONFLICT = 409


def add_source(grafana: str, password: str, tempo: str) -> str:
    """Make Tempo a data source of a Grafana, or leave the one that is there; return which.

    Raises:
        StackError: Grafana refused it.
        OSError: Grafana did not answer.
    """
    status, answer = _post(grafana, password, tempo_source(tempo))
    if status == http.client.OK:
        return "added"
    if status == _CONFLICT:
        return "there already"
    raise StackError(f"Grafana refused the data source Tempo with status {status}: {answer[:200]}")


def _post(grafana: str, password: str, content: dict[str, Any]) -> tuple[int, str]:
    parts = urlsplit(grafana)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    user = base64.b64encode(f"admin:{password}".encode()).decode()
    register(user)
    headers = {"Authorization": f"Basic {user}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/api/datasources", json.dumps(content), headers)
        response = connection.getresponse()
        return response.status, response.read(1000).decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error
    finally:
        connection.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Add the source, waiting for Grafana for two minutes; return the exit code."""
    return guard(_PROGRAM, lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = Parser(prog=f"python -m {_PROGRAM}", description=__doc__)
    parser.add_argument("--grafana", default="http://grafana:3000", metavar="URL", help="where Grafana answers")
    parser.add_argument("--tempo", default="http://tempo:3200", metavar="URL", help="where Grafana reaches Tempo")
    parser.add_argument(
        "--password-file", type=Path, default=Path("/run/perfloop/admin-password"), help="of Grafana's admin"
    )
    options = parser.parse_args(argv)
    password = options.password_file.read_text(encoding="utf-8").strip()
    register(password)
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            print(f"data source Tempo: {add_source(options.grafana, password, options.tempo)}")  # noqa: T201 - its log
        except OSError as error:
            if time.monotonic() > end:
                raise StackError(f"Grafana does not answer at {options.grafana}: {error}") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
