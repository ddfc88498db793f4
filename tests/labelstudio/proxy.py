"""A proxy between client and server that breaks one request on purpose.

Requests are counted apart for writes (any method but GET) and reads; the fault strikes the chosen one, once.
"""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = (
    "cut before",  # the server never sees the request
    "cut half",  # the server sees half of its body
    "cut after",  # done, but the answer is lost
    "status 500",  # refused before the server sees it
    "status 502 after",  # done, but a gateway says otherwise
    "status 429",  # refused: too many
    "answer late",  # done, and the answer comes after the client gave up
    "request late",  # the server gets it after the client gave up
)


class Proxy:
    """Counts, breaks, forwards.

    ``patience`` is how long the client waits for a write, in seconds; ``lateness`` is how much later than that a late
    request reaches the server: by default after the client has looked and sent it again.
    """

    def __init__(self, upstream: str, *, patience: float = 2.0, lateness: float = 5.0) -> None:
        parts = urlsplit(upstream)
        self.host, self.port = parts.hostname, parts.port
        self.patience, self.lateness = patience, lateness
        self.reset()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def reset(self, fault: str | None = None, *, at: int = 0, reads: bool = False, path: str = "") -> None:
        """Break the ``at``-th (from 0) write, or read, whose path holds ``path``, counted from now."""
        self.fault, self.at, self.reads, self.path = fault, at, reads, path
        self.seen: list[str] = []
        self.struck = threading.Event()
        self.quiet = threading.Event()  # unset while a request is under way that the client gave up
        self.quiet.set()
        self.held = threading.Event()  # set to let a held request go on

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def strikes(self, method: str, path: str) -> str | None:
        if (method == "GET") is not self.reads or self.path not in path or "/token/refresh" in path:
            return None
        self.seen.append(f"{method} {path.partition('?')[0]}")
        if self.fault is None or self.struck.is_set() or len(self.seen) - 1 != self.at:
            return None
        if self.fault == "request late":
            self.quiet.clear()
        self.struck.set()
        return self.fault


@contextmanager
def proxied(upstream: str, *, patience: float = 2.0, lateness: float = 5.0):
    proxy = Proxy(upstream, patience=patience, lateness=lateness)
    try:
        yield proxy
    finally:
        proxy.close()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):  # silent
            pass

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.strikes(self.command, self.path)
            if fault in ("cut before", "hold before"):
                if fault == "hold before":
                    proxy.held.wait(60)
                self._cut()
            elif fault == "cut half":
                self._forward(body, half=True)
                self._cut()
            elif fault == "status 500":
                self._answer(500, b'{"detail": "made up by the proxy"}')
            elif fault == "status 429":
                self._answer(429, b'{"detail": "made up by the proxy"}')
            elif fault == "request late":
                time.sleep(proxy.patience + proxy.lateness)
                self._forward(body)
                proxy.quiet.set()
                self._cut()
            else:
                found = self._forward(body)
                if fault == "answer late":
                    time.sleep(proxy.patience + 0.5)
                if fault == "hold after":
                    proxy.held.wait(60)
                if fault in ("cut after", "hold after") or found is None:
                    self._cut()
                elif fault == "status 502 after":
                    self._answer(502, b"<html>Bad Gateway</html>")
                else:
                    self._answer(*found)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

        def _forward(self, body, *, half=False):
            upstream = http.client.HTTPConnection(proxy.host, proxy.port, timeout=120)
            try:
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "content-length"):
                        upstream.putheader(name, value)
                upstream.putheader("Content-Length", str(len(body)))
                upstream.putheader("Connection", "close")
                upstream.endheaders(body[: len(body) // 2] if half else body)
                if half:
                    return None
                answer = upstream.getresponse()
                return answer.status, answer.read(), answer.getheader("Content-Type")
            except (OSError, http.client.HTTPException):
                return None
            finally:
                upstream.close()

        def _answer(self, status, body, kind="application/json"):
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind or "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def _cut(self):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(2)

    return Handler
