"""Where the clients connect to, resolved once, and how."""

from __future__ import annotations

import ipaddress
import socket as _socket
import ssl
import sys
from typing import TYPE_CHECKING, Final

import attrs

from aionet.address import UnixAddress, from_sockaddr
from aionet.errors import OptionError, ResolveError
from aionet.options import SocketOptions, Timeouts
from aionet.system.connect import connect_to
from aionet.system.resolver import resolve

if TYPE_CHECKING:
    from aionet.address import Address
    from aionet.bench.plan import Plan, TLSPlan

__all__ = ["Target"]

# linux/in.h; Python's socket module has it from 3.12 on.
_BIND_ADDRESS_NO_PORT: Final = 24
# Loopback addresses that clients which come and go spread over: see Target.socket.
_SOURCES: Final = 250


class Target:
    """One address, and what is spoken there."""

    def __init__(self, plan: Plan, address: Address) -> None:
        self.address = address
        self.sockaddr = address.sockaddr
        self.tls = _context(plan.tls) if plan.endpoint.scheme == "tls" else None
        self.server_name = plan.tls.server_name or plan.endpoint.host
        self.session: ssl.SSLSession | None = None  # to be resumed
        self.spoken: str | None = None  # the version and the cipher of TLS that the first handshake agreed on
        self._type = _socket.SOCK_DGRAM if plan.datagrams else _socket.SOCK_STREAM
        self._no_delay = not plan.datagrams and address.family != _socket.AF_UNIX
        self._spread = plan.mode == "connect" and sys.platform == "linux" and _is_loopback(address)
        self._opened = 0

    @classmethod
    async def find(cls, plan: Plan) -> Target:
        """Resolve the endpoint; of the addresses of a stream's, the first that answers.

        Raises:
            ConnectError: no address answers.
            ResolveError: the host has no address.
            OptionError: the CA file cannot be read.

        """
        endpoint = plan.endpoint
        if endpoint.scheme == "unix":
            return cls(plan, UnixAddress(endpoint.path or ""))
        addresses = await resolve(
            endpoint.host, endpoint.port or 0, type=_socket.SOCK_DGRAM if plan.datagrams else _socket.SOCK_STREAM
        )
        if not addresses:
            raise ResolveError(_socket.EAI_NONAME, f"{endpoint}: no address")
        if plan.datagrams or len(addresses) == 1:
            return cls(plan, addresses[0])
        answering = attrs.evolve(endpoint, scheme="tcp")
        connected = await connect_to(answering, local=None, options=SocketOptions(), timeouts=Timeouts())
        with connected.sock as sock:
            return cls(plan, from_sockaddr(sock.family, sock.getpeername()))

    def socket(self) -> _socket.socket:
        """Return a new socket that does not block.

        A loopback address has 28 000 ports, and each is out of use for a while after its connection. Clients of mode
        connect would run out of them in a second, so they come from many source addresses.
        """
        sock = _socket.socket(self.address.family, self._type)
        try:
            sock.setblocking(False)
            if self._no_delay:
                sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if self._spread:
                sock.setsockopt(_socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((f"127.0.0.{1 + self._opened % _SOURCES}", 0))
                self._opened += 1
        except BaseException:
            sock.close()
            raise
        return sock

    def wrap(self, sock: _socket.socket) -> ssl.SSLSocket:
        """Put TLS over a connected socket; the handshake is still to be made."""
        if self.tls is None:
            raise AssertionError(self.address)
        return self.tls.wrap_socket(
            sock, server_hostname=self.server_name, do_handshake_on_connect=False, session=self.session
        )


def _context(plan: TLSPlan) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=plan.ca_file)
    except OSError as error:
        raise OptionError(f"tls: the CA file {plan.ca_file} cannot be used: {error}") from error
    if not plan.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_loopback(address: Address) -> bool:
    return address.family == _socket.AF_INET and ipaddress.ip_address(address.sockaddr[0]).is_loopback
