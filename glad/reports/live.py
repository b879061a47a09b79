"""The page while runs go on: served on the loopback alone, drawn anew when a file changed and somebody looks."""

import hashlib
import http.server
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glad.reports.page import render
from glad.reports.run_data import AUDIT_PICTURES, read
from glad.runs.folder import Run
from glad.runs.snapshots import find_snapshots
from glad.runs.storage import RunError

HOST = "127.0.0.1"
WATCHED = (
    *("config.yaml", "inputs.json", "metrics.jsonl", "state.safetensors", "initial.safetensors"),
    *("synset.safetensors", "results.json", "audit.json", *AUDIT_PICTURES),
)


class Server(http.server.ThreadingHTTPServer):
    """Serves the report of ``runs`` at ``url`` on this machine; ``port`` 0 takes a free one.

    Threads, since browsers keep connections open that they do not use. ``RunError`` when the port cannot be had or a
    folder is no run.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, runs: Sequence[Run], port: int = 0) -> None:
        self.runs, self.lock, self.drawn = list(runs), threading.Lock(), ("", "")
        self.page()  # a folder that is no run is found now
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(
                f"port {port} of {HOST} cannot be used: {reason}; leave --port out for a free one"
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but for a browser that did not wait for its answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def version(self) -> str:
        """What changes with the files of the runs."""
        seen = [_stamp(path) for run in self.runs for path in _files(run)]
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]

    def page(self) -> str:
        """The page of now."""
        with self.lock:
            version = self.version()  # before the files are read: a change in between is found at the next question
            if self.drawn[0] != version:
                self.drawn = version, render(read(self.runs), version)
            return self.drawn[1]


def _files(run: Run) -> list[Path]:
    return [*(run.path / name for name in WATCHED), *find_snapshots(run.path).values()]


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        """Answer with the page or its version, to browsers that asked for this machine by its own name alone."""
        port = self.server.server_address[1]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):  # else other sites could read it
            self._answer(403, "text/plain", "this address is not served")
        elif self.path == "/version":
            self._answer(200, "text/plain", self.server.version())
        elif self.path in ("/", "/page"):
            try:
                self._answer(200, "text/html", self.server.page())
            except (RunError, OSError) as error:  # a run that begins has not all of its files
                self._answer(503, "text/plain", str(error))
        else:
            self._answer(404, "text/plain", "there is one page, at /")

    def _answer(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent: a page that asks every other second would fill the terminal."""
