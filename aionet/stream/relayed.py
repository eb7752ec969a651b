"""What a relay tells its target about the client that it relays for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.address import InetAddress
from aionet.wire.proxy_header import ProxyHeader

if TYPE_CHECKING:
    from aionet.stream.stream import Stream

__all__ = ["proxy_header_for"]


def proxy_header_for(stream: Stream, version: int = 2) -> ProxyHeader:
    """Return the PROXY protocol header that names the client of ``stream``, for ``connect(..., proxy_header=...)``.

    Where the stream itself came with a header, what that says is passed on: addresses, TLVs, LOCAL. Version 1 has no
    place for TLVs, and for Unix sockets and LOCAL it says UNKNOWN.

    Raises:
        BrokenStreamError: the connection broke before the system was asked for its addresses.
        ValueError: ``version`` is neither 1 nor 2.

    Source: PROXY protocol, section 2.

    """
    came = stream.proxy
    if came is None:
        came = ProxyHeader(source=stream.peer, destination=stream.local)
    if version != 1:
        return ProxyHeader(
            version=version,
            source=came.source,
            destination=came.destination,
            type=came.type,
            local=came.local,
            tlvs=came.tlvs,
        )
    if not isinstance(came.source, InetAddress):
        return ProxyHeader(version=1)
    return ProxyHeader(version=1, source=came.source, destination=came.destination)
