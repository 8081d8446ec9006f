"""In the place of vminsert and vmselect: hands requests on to the stand-in of vmstorage, at the cluster's own paths."""

from __future__ import annotations

import http.client
import http.server
import sys

PREFIXES = ("/insert/0/prometheus", "/select/0/prometheus")
STORAGE_PORT = 8482
SECONDS = 30
UNAVAILABLE = 503
# Of this connection alone; and what is packed would have to be said in the answer.
LEFT_OUT = {"host", "connection", "accept-encoding"}
flags = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
storage = flags["storageNode"].partition(":")[0]
port = int(flags["httpListenAddr"].rpartition(":")[2])


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for itself whether it is there; everything else is the storage's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Hand one request on."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/health":
            self.answer(200, b"OK")
        elif self.path == "/metrics":
            self.answer(200, b"gateway_up 1\n")
        else:
            self.hand_on(body)

    do_POST = do_GET  # noqa: N815 - as the base class names it

    def hand_on(self, body: bytes) -> None:
        """Ask the storage; a storage that does not answer is a reason to ask again later."""
        path = next((self.path.removeprefix(one) for one in PREFIXES if self.path.startswith(one)), self.path)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in LEFT_OUT}
        connection = http.client.HTTPConnection(storage, STORAGE_PORT, timeout=SECONDS)
        try:
            connection.request(self.command, path, body, headers)
            found = connection.getresponse()
            self.answer(found.status, found.read(), found.getheader("Content-Type") or "text/plain")
        except OSError as error:
            self.answer(UNAVAILABLE, str(error).encode())
        finally:
            connection.close()

    def answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        """Send one answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
