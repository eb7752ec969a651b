"""The TLS handshake of a transport: driven by readiness, with a deadline, and what its failures are called."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING, Final

from aionet.errors import TLSCertificateError, TLSError, TLSHandshakeError, TLSHandshakeTimeoutError
from aionet.system.poller import READABLE, WRITABLE
from aionet.system.secure_socket import discard_input
from aionet.system.unreadable_names import UnreadableNames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aionet.system.poller import Poller
    from aionet.system.secure_socket import SecureSocket

__all__ = ["Handshake", "handshake_error", "tls_reason"]

_UNREADABLE_NAMES: Final = UnreadableNames()
_IN_WORDS: Final = {"CALLBACK_FAILED": "the name that is asked for is not ASCII, or your sni_callback failed"}


class Handshake:
    """One handshake; ``done`` is called once with None or with what went wrong, always from the event loop.

    It registers the descriptor with the poller while it lasts. ``cancel`` ends it without a word.
    """

    __slots__ = ("_deadline", "_done", "_events", "_poller", "_server_side", "_sock", "_timeout")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        sock: SecureSocket,
        timeout: float | None,
        done: Callable[[OSError | None], None],
        *,
        server_side: bool,
    ) -> None:
        self._poller = poller
        self._sock = sock
        self._timeout = timeout
        self._server_side = server_side
        self._done: Callable[[OSError | None], None] | None = done
        self._events = 0
        self._deadline = None if timeout is None else loop.call_later(timeout, self._too_late)
        # The client speaks first, if what it says has not come already; and not at once: whoever begins it is not yet
        # ready to hear of its end.
        waits = server_side and not sock.received and not sock.pending()
        self._wait_for(READABLE if waits else WRITABLE)

    def _step(self, _events: int) -> None:
        try:
            if self._server_side:
                with _UNREADABLE_NAMES:
                    self._sock.do_handshake()
            else:
                self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._wait_for(READABLE)
        except ssl.SSLWantWriteError:
            self._wait_for(WRITABLE)
        except (OSError, ValueError) as exc:
            discard_input(self._sock)
            self._end(handshake_error(exc))
        else:
            self._end(None)

    def _wait_for(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._poller.watch(self._sock.socket.fileno(), events, self._step)

    def _too_late(self) -> None:
        message = f"no TLS handshake within {self._timeout:g} s"
        self._end(TLSHandshakeTimeoutError(errno.ETIMEDOUT, message))

    def _end(self, error: OSError | None) -> None:
        done = self._done
        self.cancel()
        if done is not None:
            done(error)

    def cancel(self) -> None:
        """End it: nothing is called any more."""
        self._done = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def handshake_error(exc: Exception) -> TLSError:
    """Build the error for a handshake that failed, in words that say what to look at."""
    error: TLSError
    match exc:
        case ssl.SSLCertVerificationError():
            error = TLSCertificateError(errno.EPROTO, f"TLS handshake: the certificate: {exc.verify_message}")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            error = TLSHandshakeError(errno.EPROTO, "TLS handshake: the peer closed the connection")
        case ssl.SSLError():
            error = TLSHandshakeError(errno.EPROTO, f"TLS handshake: {tls_reason(exc)}")
        case OSError():
            number = exc.errno or errno.EPROTO
            error = TLSHandshakeError(number, f"TLS handshake: {exc.strerror or exc}")
        case _:
            error = TLSHandshakeError(errno.EPROTO, f"TLS handshake: {exc}")
    error.__cause__ = exc
    return error


def tls_reason(exc: ssl.SSLError) -> str:
    """Return OpenSSL's reason in words: "wrong version number" is what a peer that speaks no TLS looks like."""
    reason: str = getattr(exc, "reason", None) or exc.strerror or str(exc)
    return _IN_WORDS.get(reason) or reason.replace("_", " ").lower()
