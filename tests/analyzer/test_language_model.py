"""An OpenAI-compatible server may reword; when it lies, fails or is silent, nothing is missing."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.language_model import LanguageModel
from perfloop_analyzer.recommend import Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterator

EVIDENCE = ({"title": "Query time", "before": 0.021, "after": 0.975, "unit": "seconds"},)
MADE = Recommendation(
    "r-1", "slow_queries", "shop", "database", "database", "high", "Database", "Index", "low", "none", ("x",), EVIDENCE
)


@pytest.fixture
def server() -> Iterator[tuple[list[Any], dict[str, Any], str]]:
    """A server that answers with the words a test gives it."""
    asked: list[Any] = []
    answer: dict[str, Any] = {"status": 200, "words": ""}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            text = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer["words"]}}]}).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = False  # the end waits for every answer: no socket outlives its test
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield asked, answer, f"http://127.0.0.1:{http.server_address[1]}/v1"
    http.shutdown()
    http.server_close()
    thread.join()


async def test_words_that_keep_to_the_evidence_are_used_once(server: tuple[list[Any], dict[str, Any], str]) -> None:
    """The text is added to the recommendation, whose own words stay; the model is queried once."""
    asked, answer, url = server
    answer["words"] = "Queries went from 21 ms to 975 ms: add the missing index."
    model = LanguageModel(url, "small", "key")
    for _ in range(2):
        (recommendation,) = await model.rewrite([MADE])
    await model.close()
    assert recommendation.values["words"] == answer["words"]
    assert recommendation.action == "Index"
    assert len(asked) == 1
    path, key, body = asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer key", "small")


async def test_an_invented_number_discards_the_words(server: tuple[list[Any], dict[str, Any], str]) -> None:
    """The lie is counted and not shown."""
    _, answer, url = server
    answer["words"] = "This will make it 40 times faster."
    model = LanguageModel(url, "small", None)
    assert await model.rewrite([MADE]) == (MADE,)
    await model.close()
    assert model.rejected == 1


async def test_a_failing_or_absent_model_leaves_everything_as_it_was(
    server: tuple[list[Any], dict[str, Any], str], free_port: int
) -> None:
    """An error and a closed port are the same as no model."""
    _, answer, url = server
    answer["status"] = 500
    for address in (url, f"http://127.0.0.1:{free_port}/v1"):
        model = LanguageModel(address, "small", None)
        assert await model.rewrite([MADE]) == (MADE,)
        await model.close()
