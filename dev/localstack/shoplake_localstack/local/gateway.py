"""LocalStack's web server: threads that answer requests, on the interface that it was told.

LocalStack 4.8.1 comes with Twisted, which takes every request through one thread and hands it to
another: more than half of all processor time of a busy local cloud, which is one Python process. It
also ignores the host in GATEWAY_LISTEN for IPv4 and opens the port to the whole network.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

from localstack import config
from localstack.runtime.server.core import RuntimeServer, RuntimeServerPlugin

_THREADS = 256
"""Requests at a time. Most wait: long polls of queues, invocations of functions, executions."""
_COLLECT = (50_000, 50, 10)
"""Python's defaults are (700, 10, 10): with a cloud's objects in memory, looking for garbage takes a third of the time, in which
nothing else runs."""
_IDLE_SECONDS = 900
"""Longer than any client here keeps a connection that it does not use, so that none finds it closed as it sends."""


class ThreadedServerPlugin(RuntimeServerPlugin):
    """Chosen with `GATEWAY_SERVER=shoplake`."""

    name = "shoplake"

    def load(self, *args: Any, **kwargs: Any) -> RuntimeServer:
        from cheroot import server as http
        from cheroot import wsgi
        from rolo.gateway.wsgi import WsgiGateway

        class Request(http.HTTPRequest):
            def __init__(self, *arguments: Any) -> None:
                """Not strict: LocalStack itself asks as one asks a proxy, with the whole URL."""
                super().__init__(*arguments, strict_mode=False)

        class Connection(http.HTTPConnection):
            RequestHandlerClass = Request

        class Gateway(wsgi.Gateway_10):
            def get_environ(self) -> dict[str, Any]:
                """With what LocalStack wants beyond WSGI: the path and the headers as they were
                sent.
                """
                environ = super().get_environ()
                environ["RAW_URI"] = environ["REQUEST_URI"]
                environ["rolo.headers"] = [
                    (name.lower(), value) for name, value in self.req.inheaders.items()
                ]
                environ["wsgi.input_terminated"] = True
                return environ

        class ThreadedServer(RuntimeServer):
            """Plain HTTP only: a certificate for 127.0.0.1 would convince nobody."""

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
