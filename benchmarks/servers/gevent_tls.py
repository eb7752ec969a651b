"""gevent's StreamServer behind TLS."""

from contextlib import AbstractContextManager

from gevent import ssl

from benchmarks.servers._certificate import CHAIN
from benchmarks.servers.gevent import echo_client, serve


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # gevent's own class: the other's handshake would block the hub
    with CHAIN.tempfile() as path:
        context.load_cert_chain(path)
    return context


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return serve(echo_client, ssl_context=_context())
