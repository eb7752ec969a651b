"""Tornado's TCPServer behind TLS."""

from contextlib import AbstractAsyncContextManager

from benchmarks.servers import READ_SIZE
from benchmarks.servers._certificate import server_context
from benchmarks.servers.tornado import Echo, serve


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return serve(Echo(ssl_options=server_context(), read_chunk_size=READ_SIZE))
