"""Protocols: the callbacks that a transport makes.

They are asyncio's own interfaces, so any asyncio Protocol serves; these classes say what aionet promises about each
callback. All of them are called by the event loop, never from inside a running task, except where said otherwise. An
exception that one of them raises goes to the loop's exception handler and to connection_lost, and the connection is
aborted.
"""

from __future__ import annotations

import asyncio

__all__ = ["BufferedProtocol", "DatagramProtocol", "Protocol"]


class Protocol(asyncio.Protocol):
    """A protocol that is handed what has arrived as bytes.

    ``connection_made(transport)`` comes first, once; with create_connection inside the task that awaits it.
    ``data_received(data)`` never gets empty data.
    ``eof_received()`` says that the peer sends no more: return a true value to go on sending, else the transport
    closes.
    ``pause_writing()`` and ``resume_writing()`` come in pairs; the first comes from inside ``transport.write`` when
    more than high water is queued. ``connection_lost(exc)`` comes last, once: None after a close, an abort or the
    peer's end.
    """

    __slots__ = ()


class BufferedProtocol(asyncio.BufferedProtocol):
    """A protocol that says where the kernel shall put what arrives.

    ``get_buffer(sizehint)`` returns a writable buffer that is not empty; ``buffer_updated(nbytes)`` says how much of it
    was filled. The rest is as for Protocol. The buffer may be the same every time.
    """

    __slots__ = ()


class DatagramProtocol(asyncio.DatagramProtocol):
    """A protocol that is handed datagrams.

    ``connection_made(transport)`` comes first, once. ``datagram_received(data, addr)`` gets each datagram, an empty one
    too, and the sender as the socket module gives it. ``error_received(exc)`` tells what the system said of sending or
    receiving; the transport goes on, and so it does when a callback raises. ``pause_writing()`` and
    ``resume_writing()`` come in pairs. ``connection_lost(exc)`` comes last, once.
    """

    __slots__ = ()
