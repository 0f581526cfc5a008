"""LocalStack's web server, bound to the interface it was told.

LocalStack 4.8.1 ignores the host in GATEWAY_LISTEN for IPv4 and opens the port to the whole network.
"""

from localstack import config
from localstack.runtime.server.core import RuntimeServer, RuntimeServerPlugin


class BoundServerPlugin(RuntimeServerPlugin):
    """Chosen with `GATEWAY_SERVER=shoplake`."""

    name = "shoplake"

    def load(self, *args, **kwargs) -> RuntimeServer:
        from localstack.runtime.server.twisted import TwistedRuntimeServer
        from rolo.serving.twisted import TwistedGateway
        from twisted.internet import endpoints, reactor

        class BoundServer(TwistedRuntimeServer):
            """Plain HTTP only: a certificate for 127.0.0.1 would convince nobody."""

            def register(self, gateway, listen: list[config.HostAndPort], ssl_creds=None) -> None:
                site = TwistedGateway(gateway)
                for address in listen:
                    endpoints.TCP4ServerEndpoint(reactor, address.port, interface=address.host).listen(site)

        return BoundServer()
