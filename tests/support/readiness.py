"""What checks before a deployment ask, made for tests: programs that answer as a test wants, and a stack of its own."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfloop.check.config import CheckConfig
from perfloop.check.place import NAMED, Place
from perfloop.check.sources import Sources
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfloop.check.findings import Finding

CHECKOUT = Path(__file__).resolve().parents[2]
NOW = 1_790_000_000.0  # Unix seconds
Answers = dict[str, Any]


@dataclass
class Program:
    """A program that answers with what `answers` has for a path: JSON, bytes as they are, or a function of the path."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[Program]:
    """Serve answers on a free port; a path that has none answers 404."""
    program = Program("", dict(answers))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            path = urlsplit(self.path).path
            program.asked.append(self.path)
            found = program.answers.get(path)
            found = found(self.path) if callable(found) else found
            self.send_response(404 if found is None else 200)
            self.end_headers()
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name for it
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield program
        finally:
            server.shutdown()


def make_sources(
    directory: Path, urls: Mapping[str, str] | None = None, *, mode: str = NAMED, now: float = NOW, **flags: Any
) -> Sources:
    """Return sources of a stack whose home and secrets are below a directory, with the checkout's configuration."""
    settings = read_settings(CHECKOUT, {"PERFLOOP_HOME": str(directory / "home")}, directory)
    place = Place(mode, replace(settings, home=directory / "home"), urls or {})
    return Sources(CheckConfig(**flags), place, now)


@dataclass(frozen=True)
class Done:
    """What a command that was run in this process has left."""

    returncode: int
    stdout: str
    stderr: str


def run_here(main: Callable[[list[str]], int], *arguments: str) -> Done:
    """Run a command in this process: on a busy machine the start of another takes seconds."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return Done(code, out.getvalue(), err.getvalue())


def looked(look: Callable[[Sources], Any], sources: Sources) -> Finding:
    """Return the one finding of a check."""
    (found,) = look(sources)
    finding: Finding = found
    return finding
