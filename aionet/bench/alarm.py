"""A timer that is on time.

An event loop's timers are the timeouts of epoll_wait, which counts in milliseconds, and the loops round up: a message
that is due in 50 microseconds would leave in a thousand. A timerfd (man 2 timerfd_create) goes off to the microsecond
and is a descriptor like any other. Python has it from 3.13 on only, so it is the C library's that is called; elsewhere
than on Linux the loop's own timers must do.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from aionet.system.poller import READABLE, poller_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Alarm", "alarm"]

_NANO: Final = 10**9
_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME


class Alarm(Protocol):
    """Calls back at a time that is set anew each time."""

    def set(self, when: int) -> None:
        """Call back at this time.monotonic_ns(), or soon if it has passed."""
        ...

    def close(self) -> None:
        """Never call back again."""
        ...


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class _TimerAlarm:
    """A timerfd of the C library."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC
        self._fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._settime = libc.timerfd_settime
        self._settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self._spec = _Itimerspec()
        self._value = self._spec.value
        self._address = ctypes.addressof(self._spec)
        self._ring = ring
        self._when = 0
        self._poller = poller_of(loop)
        self._poller.watch(self._fd, READABLE, self._on_time)

    def set(self, when: int) -> None:
        """As Alarm.set."""
        self._when = when
        value = self._value
        value.seconds, value.nanoseconds = divmod(max(when, 1), _NANO)  # zero would stop it
        self._settime(self._fd, _ABSOLUTE, self._address, None)

    def close(self) -> None:
        """As Alarm.close."""
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_time(self, events: int) -> None:
        when = self._when
        if time.monotonic_ns() < when:  # set anew since it went off
            return
        self._ring()
        # Setting it anew has made it silent; else it would go off again and again until it is read.
        if self._when == when and self._fd >= 0:
            os.read(self._fd, 8)


class _LoopAlarm:
    """The loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: int) -> None:
        """As Alarm.set."""
        self.close()
        self._handle = self._loop.call_later(max(when - time.monotonic_ns(), 0) / _NANO, self._ring)

    def close(self) -> None:
        """As Alarm.close."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> Alarm:
    """Return what calls ``ring`` on that loop when it is set to."""
    return _TimerAlarm(loop, ring) if sys.platform == "linux" else _LoopAlarm(loop, ring)
