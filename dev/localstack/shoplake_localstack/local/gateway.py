"""LocalStack's web server, with a thread per request and on the configured interface only.

LocalStack 4.8.1 uses Twisted, which passes every request from one thread to another: more than half
of the processor time of a busy local cloud. Twisted also ignores the host in GATEWAY_LISTEN for
IPv4 and opens the port to the whole network.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

from localstack import config
from localstack.runtime.server.core import RuntimeServer, RuntimeServerPlugin

_THREADS = 256
"""Requests at a time. Most of them wait: long polls, invocations, executions."""
_COLLECT = (50_000, 50, 10)
"""With Python's defaults (700, 10, 10) the garbage collector takes a third of the time of a cloud,
and stops every thread meanwhile.
"""
_IDLE_SECONDS = 900
"""Longer than any client keeps an idle connection, so that no request meets a closed one."""


class ThreadedServerPlugin(RuntimeServerPlugin):
    """Chosen with `GATEWAY_SERVER=shoplake`."""

    name = "shoplake"

    def load(self, *args: Any, **kwargs: Any) -> RuntimeServer:
        from cheroot import server as http
        from cheroot import wsgi
        from rolo.gateway.wsgi import WsgiGateway

        class Request(http.HTTPRequest):
            def __init__(self, *arguments: Any) -> None:
                """Accepts whole URLs in requests, which LocalStack itself sends."""
                super().__init__(*arguments, strict_mode=False)

        class Connection(http.HTTPConnection):
            RequestHandlerClass = Request

        class Gateway(wsgi.Gateway_10):
            def get_environ(self) -> dict[str, Any]:
                """Adds what LocalStack needs beyond WSGI: the raw path and headers."""
                environ: dict[str, Any] = super().get_environ()
                environ["RAW_URI"] = environ["REQUEST_URI"]
                environ["rolo.headers"] = [
                    (name.lower(), value) for name, value in self.req.inheaders.items()
                ]
                environ["wsgi.input_terminated"] = True
                return environ

        class ThreadedServer(RuntimeServer):
            """Serves plain HTTP, because clients would reject a certificate for 127.0.0.1."""

            def __init__(self) -> None:
                self._servers: list[wsgi.Server] = []

            def register(
                self, gateway: Any, listen: list[config.HostAndPort], ssl_creds: Any = None
            ) -> None:
                for address in listen:
                    server = wsgi.Server(
                        (address.host, address.port),
                        WsgiGateway(gateway),
                        numthreads=_THREADS,
                        timeout=_IDLE_SECONDS,
                        request_queue_size=512,
                    )
                    server.ConnectionClass, server.gateway = Connection, Gateway
                    server.keep_alive_conn_limit = _THREADS * 8
                    server.prepare()
                    self._servers.append(server)

            def run(self) -> None:
                gc.freeze()
                gc.set_threshold(*_COLLECT)
                threads = [threading.Thread(target=server.serve) for server in self._servers]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            def shutdown(self) -> None:
                for server in self._servers:
                    server.stop()

        return ThreadedServer()
