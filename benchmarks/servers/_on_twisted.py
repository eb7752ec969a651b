"""Run a service on Twisted's own reactor, which is epoll's on Linux."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

from twisted.internet import reactor as the_reactor
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from benchmarks.servers._control import obey, report, say

reactor = cast("Any", the_reactor)  # which has zope's interfaces for types, and no type checker reads these


@implementer(IReadDescriptor)
class Stdin:
    """What the runner asks for; its end stops the reactor."""

    def fileno(self) -> int:
        return sys.stdin.fileno()

    def logPrefix(self) -> str:  # noqa: N802  the name of the interface
        return "stdin"

    def doRead(self) -> Exception | None:  # noqa: N802  the name of the interface
        return None if obey() else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802  the name of the interface
        """The end, be it read or, as epoll may say it of a pipe, a hang-up."""
        reactor.stop()


def run(service: Callable[[], AbstractContextManager[str]]) -> None:
    """Serve until stdin ends or SIGTERM comes, which the reactor minds itself."""
    with service() as address:
        say(address=address)
        reactor.addReader(Stdin())
        reactor.run()
        report()
