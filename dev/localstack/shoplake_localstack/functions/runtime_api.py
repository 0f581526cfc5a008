"""The Lambda Runtime API for one process of a function.

A runtime polls for the next invocation and posts its response or its error. `worker` starts the
process and handles the answers.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

from .invocation import Invocation, Response

_API = "/2018-06-01/runtime/"


class Conversation(Protocol):
    """The owner of a Runtime API."""

    def next_invocation(self) -> Invocation | None:
        """Waits for the next invocation; returns None if the process has ended."""

    def respond(self, request_id: str, response: Response) -> bool:
        """Returns whether the request still waits for this response."""

    def init_failed(self, body: bytes) -> None:
        """Handles the runtime's error of initialisation."""


class RuntimeApi:
    """Serves one process on its own port of the loopback interface."""

    def __init__(self, conversation: Conversation) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.conversation = conversation
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="runtime-api"
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Returns the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stops listening. A handler that still waits belongs to a dead process and ends with its
        connection.
        """
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    conversation: Conversation

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores dropped connections: a killed process drops them, and the worker reports it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet per answer instead of one per header

    @property
    def _conversation(self) -> Conversation:
        return cast(_Server, self.server).conversation

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing, so that the log has only the function's own lines."""

    def do_GET(self) -> None:
        if self.path != f"{_API}invocation/next":
            return self._answer(404)
        invocation = self._conversation.next_invocation()
        if invocation is None:
            self.close_connection = True
            return None
        return self._answer(200, invocation.payload, invocation.headers())

    def do_POST(self) -> None:
        body = self._body()
        match self.path.removeprefix(_API).split("/"):
            case ["init", "error"]:
                self._conversation.init_failed(body)
                return self._answer(202, b'{"status":"OK"}')
            case ["invocation", request_id, ("response" | "error") as kind]:
                response = Response(body, is_error=kind == "error")
                if not self._conversation.respond(request_id, response):
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
        # Trailers, in which a streaming runtime reports a late error.
        while self.rfile.readline().strip():
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
