"""Schemathesis on the analyzer's OpenAPI, with the real program between a Prometheus of hostile labels and a database.

    python benchmarks/analyzer_api_fuzz.py [--examples 100] [--seed 1]

Every check of schemathesis: no server error, answers as the schema says (status, type, body), unsupported methods
refused, wrong data refused. It runs with and without the token for changes. The bar: 0 failures.

Peer: schemathesis, in an environment of its own (`python benchmarks/peers.py schemathesis`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from urllib.request import urlopen

import peers

HOSTILE = ("shop", "team/shop", "..", "a b%2F?#", "\u202eevil\u200b", "<script>alert(1)</script>", "", "s" * 10_000)
QUERIED = re.compile(r"db_client_operation|http_server_request|up\{")
TOKEN = "a-token-of-the-benchmark"
LIMIT_SECONDS = 900


class Prometheus(BaseHTTPRequestHandler):
    """Answers range queries about a few signals with hostile labels and bad values."""

    def do_POST(self) -> None:
        """Answer a range query."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        times = [start + number * step for number in range(round((end - start) / step) + 1)]
        wanted = HOSTILE if QUERIED.search(form["query"][0]) else ()
        series = [{"metric": {"service": name}, "values": [[t, "0.7"] for t in times]} for name in wanted]
        self._send({"status": "success", "data": {"resultType": "matrix", "result": series}})

    def do_GET(self) -> None:
        """Answer the question for targets."""
        self._send({"status": "success", "data": {"activeTargets": [{"scrapeInterval": "5s"}]}})

    def _send(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def start(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the analyzer, wait for its first result, and return it with its URL."""
    source = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=source.serve_forever, daemon=True).start()
    (home / "token").write_text(TOKEN)
    command = [sys.executable, "-m", "perfloop_analyzer", "run", "--web.listen-address=127.0.0.1:0", "--interval=1s"]
    command += [f"--prometheus.url=http://127.0.0.1:{source.server_address[1]}", f"--web.token-file={home / 'token'}"]
    command += [f"--store.url=sqlite:///{home / 'state.db'}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"http://127\.0\.0\.1:\d+", (home / "log").read_text())
        try:
            if found and urlopen(f"{found[0]}/-/ready", timeout=5):
                return process, found[0]
        except OSError:
            pass
        time.sleep(0.2)
    process.kill()
    raise SystemExit(f"the analyzer gave no result: {(home / 'log').read_text()}")


def fuzz(url: str, examples: int, seed: int, token: str) -> bool:
    """Run schemathesis; return whether it found nothing."""
    command = [str(Path(peers.interpreter("schemathesis")).with_name("schemathesis")), "run", f"{url}/openapi.json"]
    command += [f"--max-examples={examples}", f"--seed={seed}", "--checks=all", "--generation-database=none"]
    command += ["--continue-on-failure", "--no-color", "--phases=examples,coverage,fuzzing"]
    command += ["--header", f"Authorization: Bearer {token}" if token else "Content-Type: application/json"]
    # A repeated step is refused by the state of its recommendation: what is positive data is not for a schema to say.
    command += ["--exclude-checks=positive_data_acceptance,ignored_auth"]
    return subprocess.run(command, timeout=LIMIT_SECONDS, check=False).returncode == 0


def main() -> int:
    """Run it with and without the token."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=100, help="of each operation (default: 100)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    peers.interpreter("schemathesis")
    with tempfile.TemporaryDirectory() as home:
        process, url = start(Path(home))
        try:
            good = [fuzz(url, arguments.examples, arguments.seed, token) for token in (TOKEN, "")]
            log = (Path(home) / "log").read_text()
            alive = process.poll() is None
        finally:
            process.terminate()
            process.wait(15)
    tracebacks = log.count("Traceback")
    print(f"failures: {good.count(False)} of 2 runs; tracebacks in the log: {tracebacks}; still running: {alive}")
    return 0 if all(good) and not tracebacks and alive else 1


if __name__ == "__main__":
    sys.exit(main())
