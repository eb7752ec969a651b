"""Keeps a client that asks for a name which is no name from writing to our stderr.

The ssl module decodes the name as ASCII before it calls the server's callback. Where that fails, the handshake fails,
as it should (RFC 6066 section 3 knows ASCII alone); but the module has printed a traceback, too, through
sys.unraisablehook, one for each connection. Nothing that it calls of ours comes before, so the hook itself is ours for
as long as a step of a server's handshake takes. What else it is called for in this time goes where it always went.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["UnreadableNames"]


class UnreadableNames:
    """A block in which the ssl module prints nothing of them. Loops in several threads may be in it at once."""

    __slots__ = ("_inside", "_lock", "_usual")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual: Callable[[Any], Any] = sys.unraisablehook

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._usual = sys.unraisablehook
                sys.unraisablehook = self._tell

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                sys.unraisablehook = self._usual

    def _tell(self, unraisable: Any, /) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs, which only type checkers have
        # The module says which name it was, as no one else says it: with the bytes as the culprit.
        if not isinstance(unraisable.exc_value, UnicodeDecodeError) or type(unraisable.object) is not bytes:
            self._usual(unraisable)
