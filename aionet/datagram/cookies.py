"""Cookies: a peer that sends one back has received it, so its address is not forged. The server remembers nothing.

A cookie is the second in which it was made, and a MAC over that, the peer's address and what else the caller names. The
key changes every ``lifetime`` seconds, and a cookie is good for as long: so the key of the current period and that of
the one before are all that is ever needed. The key of a period is random; with a secret it is derived from the secret,
so that several processes or machines that share it, and the time, take each other's cookies.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from typing import TYPE_CHECKING, Final

from aionet.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.address import Address

__all__ = ["Cookies"]

_MADE: Final = struct.Struct("!Q")
_KEY_SIZE: Final = 32
_MIN_SECRET: Final = 16  # 128 bits: what is shorter could be found by trying
_MAC_SIZE: Final = 16  # 128 bits, as DTLS and QUIC tokens have: to guess one of them is hopeless


class Cookies:
    """Makes and checks the cookies of a server. ``lifetime`` is in seconds (default 60).

    ``secret``, at least 16 bytes, is for several processes that take each other's cookies; ``clock`` gives the seconds
    since the epoch.

    Source: RFC 9147 section 5.1, RFC 9000 section 8.1.
    """

    __slots__ = ("_clock", "_keys", "_lifetime", "_secret")

    size: Final = _MADE.size + _MAC_SIZE
    """The length of every cookie, in bytes."""

    def __init__(
        self, lifetime: int = 60, *, secret: bytes | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        if type(lifetime) is not int or lifetime < 1:
            message = f"Cookies: lifetime={lifetime!r}: expected whole seconds, at least 1"
            raise OptionError(message)
        if secret is not None and len(secret) < _MIN_SECRET:
            message = f"Cookies: a secret of {len(secret)} bytes: expected at least {_MIN_SECRET}"
            raise OptionError(message)
        self._lifetime = lifetime
        self._secret = secret
        self._clock = clock
        self._keys: dict[int, bytes] = {}  # of the current period and the one before

    def make(self, peer: Address, context: bytes = b"") -> bytes:
        """Return a cookie for a peer. ``context`` is what else it is bound to, such as the request that it answers."""
        made = int(self._clock())
        return _MADE.pack(made) + self._mac(made, peer, context)

    def check(self, cookie: bytes, peer: Address, context: bytes = b"") -> bool:
        """Say whether this cookie was made for this peer and this context, less than ``lifetime`` seconds ago.

        False for whatever else it may be: forged, expired, cut short, another peer's. A peer may use one several times.
        """
        if len(cookie) != self.size:
            return False
        (made,) = _MADE.unpack_from(cookie)
        if not 0 <= int(self._clock()) - made < self._lifetime:
            return False
        return hmac.compare_digest(cookie[_MADE.size :], self._mac(made, peer, context))

    def _mac(self, made: int, peer: Address, context: bytes) -> bytes:
        # The sockaddr's repr has an end, so what follows cannot be moved from one part to the other.
        bound = b"%b %b %b" % (_MADE.pack(made), repr(peer.sockaddr).encode(errors="surrogateescape"), context)
        return hmac.digest(self._key(made // self._lifetime), bound, hashlib.sha256)[:_MAC_SIZE]

    def _key(self, period: int) -> bytes:
        key = self._keys.get(period)
        if key is None:
            if self._secret is None:
                key = secrets.token_bytes(_KEY_SIZE)
            else:
                key = hmac.digest(self._secret, _MADE.pack(period), hashlib.sha256)
            self._keys[period] = key
            for old in [each for each in self._keys if each < period - 1]:
                del self._keys[old]
        return key
