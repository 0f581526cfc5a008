"""The Lambda Runtime API, as one process of a function sees it.

A runtime asks for the next invocation (a long poll), and posts its response or its error.
Everything here is about that one conversation; who starts the process and what becomes of the
answers is the business of `worker`.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from .invocation import Invocation, Response

_API = "/2018-06-01/runtime/"


class Conversation(Protocol):
    """What the Runtime API needs from its owner."""

    def next_invocation(self) -> Invocation | None:
        """Blocks until there is work; None when the process is to be let go."""

    def respond(self, request_id: str, response: Response) -> bool:
        """False when nobody waits for this request (any more)."""

    def init_failed(self, body: bytes) -> None:
        """The runtime says that it could not initialise."""


class RuntimeApi:
    """Serves one process on a port of its own, on the loopback interface only."""

    def __init__(self, conversation: Conversation) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.conversation = conversation
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="runtime-api"
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """What the process finds in AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stops listening. A handler that still blocks belongs to a process that is dead, and ends
        with its connection.
        """
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    conversation: Conversation

    def handle_error(self, request, client_address) -> None:
        """A process that is killed drops its connections: that is expected, and reported by whoever
        watches the process.
        """


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet per answer, not one per header

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the function's own log is what a reader wants."""

    def do_GET(self) -> None:
        if self.path != f"{_API}invocation/next":
            return self._answer(404)
        invocation = self.server.conversation.next_invocation()
        if invocation is None:
            self.close_connection = True
            return None
        return self._answer(200, invocation.payload, invocation.headers())

    def do_POST(self) -> None:
        body = self._body()
        match self.path.removeprefix(_API).split("/"):
            case ["init", "error"]:
                self.server.conversation.init_failed(body)
                return self._answer(202, b'{"status":"OK"}')
            case ["invocation", request_id, ("response" | "error") as kind]:
                if not self.server.conversation.respond(
                    request_id, Response(body, is_error=kind == "error")
                ):
                    return self._answer(400, json.dumps({"errorType": "InvalidRequestID"}).encode())
                return self._answer(202, b'{"status":"OK"}')
        return self._answer(404)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while (
            self.rfile.readline().strip()
        ):  # trailers: how a streaming runtime reports a late error
            pass
        return b"".join(chunks)

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
