"""EasyNetwork's TCP server behind TLS."""

from contextlib import AbstractAsyncContextManager

from easynetwork.protocol import BufferedStreamProtocol

from benchmarks.servers._certificate import server_context
from benchmarks.servers.easynetwork import Raw, serve


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    # Whoever measures closes the connection without a word of TLS, which not to ask for is EasyNetwork's own wish.
    return serve(BufferedStreamProtocol(Raw()), ssl=server_context(), ssl_standard_compatible=False)
