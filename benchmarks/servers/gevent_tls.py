"""gevent's StreamServer behind TLS."""

from contextlib import AbstractContextManager

from benchmarks.servers._certificate import server_context
from benchmarks.servers.gevent import echo_client, serve


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return serve(echo_client, ssl_context=server_context())
