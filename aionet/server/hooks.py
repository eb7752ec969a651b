"""What a server tells whoever wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hooks", "ServerStatistics"]


@attrs.frozen(kw_only=True)
class Hooks:
    """Functions that a server calls, from the event loop; what they raise goes to the loop's exception handler.

    ``connected(stream)`` before the handler starts, ``disconnected(stream)`` when the connection is over,
    ``handler_failed(stream, exc)`` when the handler raised. They are plain functions, and must not block. A datagram
    server calls them with its sessions.
    """

    connected: Callable[[Any], object] | None = None
    disconnected: Callable[[Any], object] | None = None
    handler_failed: Callable[[Any, Exception], object] | None = None


@attrs.frozen(kw_only=True)
class ServerStatistics:
    """What a server has done so far: counts of connections, but for ``accept_rests``.

    ``active`` of them are open now; the handlers of ``handler_errors`` raised; ``aborted`` were cut off by a drain or a
    close. ``accept_rests`` counts how often the system was out of descriptors or memory and accepting rested. With the
    PROXY protocol, ``refused_proxies`` came from no trusted network, and the headers of ``refused_headers`` were bad,
    late or cut off. With TLS, ``handshaking`` have not yet shaken hands and ``handshake_failures`` never did. None of
    these is in ``accepted``, and no hook heard of them.
    """

    accepted: int
    active: int
    handler_errors: int
    aborted: int
    accept_rests: int
    max_connections: int
    refused_proxies: int = 0
    refused_headers: int = 0
    handshaking: int = 0
    handshake_failures: int = 0
