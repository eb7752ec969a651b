"""Run a service on gevent's hub. Nothing is patched: the servers use gevent's own sockets."""

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import gevent
from gevent.event import Event
from gevent.socket import wait_read

from benchmarks.servers._control import obey, report, say


def obey_stdin(stopped: Event) -> None:
    """Do what stdin asks for until its end."""
    while True:
        wait_read(sys.stdin.fileno())
        if not obey():
            stopped.set()
            return


def run(service: Callable[[], AbstractContextManager[str]]) -> None:
    """Serve until stdin ends or SIGTERM comes."""
    stopped = Event()
    gevent.signal_handler(signal.SIGTERM, stopped.set)
    with service() as address:
        say(address=address)
        gevent.spawn(obey_stdin, stopped)
        stopped.wait()
        report()
