"""Twisted's Protocol behind TLS, which is pyOpenSSL's."""

from contextlib import AbstractContextManager

from twisted.internet.ssl import PrivateCertificate

from benchmarks.servers._certificate import CHAIN
from benchmarks.servers.twisted import Echo, serve


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    certificate = PrivateCertificate.loadPEM(CHAIN.bytes())  # type: ignore[no-untyped-call]
    return serve(Echo, certificate.options())
