"""Run a service on Twisted's own reactor, which is epoll's on Linux."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from benchmarks.servers._control import obey, report, say


@implementer(IReadDescriptor)
class Stdin:
    """Stops the reactor at the end of stdin."""

    def fileno(self) -> int:
        return sys.stdin.fileno()

    def logPrefix(self) -> str:  # noqa: N802  the name of the interface
        return "stdin"

    def doRead(self) -> None:  # noqa: N802  the name of the interface
        if not obey():
            IReactorFDSet(reactor).removeReader(self)
            IReactorCore(reactor).stop()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802  the name of the interface
        """Nothing is lost that is still needed."""


def run(service: Callable[[], AbstractContextManager[str]]) -> None:
    """Serve until stdin ends or SIGTERM comes, which the reactor minds itself."""
    os.set_blocking(sys.stdin.fileno(), False)
    with service() as address:
        say(address=address)
        IReactorFDSet(reactor).addReader(Stdin())
        IReactorCore(reactor).run()
        report()
