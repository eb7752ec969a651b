"""aionet: networking for asyncio. Streams, servers and sockets, one contract on every event loop."""

from aionet.address import Address, Endpoint, EndpointLike, InetAddress, UnixAddress, from_sockaddr
from aionet.errors import (
    AddressError,
    AionetError,
    BrokenStreamError,
    BusyError,
    ClosedError,
    ClosedStreamError,
    ConnectError,
    ConnectTimeoutError,
    FrameError,
    FrameTooLargeError,
    IncompleteReadError,
    LimitError,
    ListenError,
    MessageError,
    MissingExtraError,
    OptionError,
    ProtocolError,
    ProxyProtocolError,
    ResolveError,
    StreamBrokenPipeError,
    StreamResetError,
    StreamTimeoutError,
    TLSCertificateError,
    TLSError,
    TLSHandshakeError,
    TLSHandshakeTimeoutError,
    TruncatedStreamError,
)
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.server.hooks import Hooks, ServerStatistics
from aionet.server.server import DrainResult, Server, ServerState, serve
from aionet.stream.connect import connect
from aionet.stream.framed import Framed
from aionet.stream.listen import Listener, listen
from aionet.stream.opening import Opening
from aionet.stream.pipeline import Pipeline
from aionet.stream.relayed import proxy_header_for
from aionet.stream.stream import Stream, StreamStatistics
from aionet.system.loops import available_loops, current_loop_name, loop_factory, run
from aionet.system.resolver import Resolver, resolve, reverse
from aionet.system.sockets import AsyncSocket
from aionet.system.sockopts import RefusedOption
from aionet.system.tls_context import reload_certificates
from aionet.tls import Certificate, TLSConfig, TLSInfo
from aionet.transport.create import create_connection, create_server
from aionet.transport.protocol import BufferedProtocol, Protocol
from aionet.transport.securing import start_tls
from aionet.transport.server import TransportServer
from aionet.transport.stream import StreamTransport
from aionet.transport.tls import TLSTransport
from aionet.wire.buffer import ReceiveBuffer
from aionet.wire.chunked import Chunked
from aionet.wire.cobs import COBS
from aionet.wire.framing import NEED_MORE, Framer, NeedMore
from aionet.wire.lengths import FixedSize, LengthPrefixed, Netstrings, VarintPrefixed
from aionet.wire.lines import Delimited, Lines
from aionet.wire.proxy_header import ProxyHeader
from aionet.wire.proxy_protocol import (
    ProxiedDatagram,
    build_proxy_header,
    parse_proxy_header,
    split_proxied_datagram,
)
from aionet.wire.proxy_tlv import ProxySSL, ProxyTLV, ProxyTLVType
from aionet.wire.proxy_trust import ProxyProtocol

__all__ = [
    "COBS",
    "NEED_MORE",
    "Address",
    "AddressError",
    "AionetError",
    "AsyncSocket",
    "BrokenStreamError",
    "BufferedProtocol",
    "BusyError",
    "Certificate",
    "Chunked",
    "ClosedError",
    "ClosedStreamError",
    "ConnectError",
    "ConnectTimeoutError",
    "Delimited",
    "DrainResult",
    "Endpoint",
    "EndpointLike",
    "FixedSize",
    "FrameError",
    "FrameTooLargeError",
    "Framed",
    "Framer",
    "Hooks",
    "IncompleteReadError",
    "InetAddress",
    "LengthPrefixed",
    "LimitError",
    "Limits",
    "Lines",
    "ListenError",
    "Listener",
    "MessageError",
    "MissingExtraError",
    "NeedMore",
    "Netstrings",
    "Opening",
    "OptionError",
    "Pipeline",
    "Protocol",
    "ProtocolError",
    "ProxiedDatagram",
    "ProxyHeader",
    "ProxyProtocol",
    "ProxyProtocolError",
    "ProxySSL",
    "ProxyTLV",
    "ProxyTLVType",
    "ReceiveBuffer",
    "RefusedOption",
    "ResolveError",
    "Resolver",
    "Server",
    "ServerState",
    "ServerStatistics",
    "SocketOptions",
    "Stream",
    "StreamBrokenPipeError",
    "StreamResetError",
    "StreamStatistics",
    "StreamTimeoutError",
    "StreamTransport",
    "TLSCertificateError",
    "TLSConfig",
    "TLSError",
    "TLSHandshakeError",
    "TLSHandshakeTimeoutError",
    "TLSInfo",
    "TLSTransport",
    "Timeouts",
    "TransportServer",
    "TruncatedStreamError",
    "UnixAddress",
    "VarintPrefixed",
    "available_loops",
    "build_proxy_header",
    "connect",
    "create_connection",
    "create_server",
    "current_loop_name",
    "from_sockaddr",
    "listen",
    "loop_factory",
    "parse_proxy_header",
    "proxy_header_for",
    "reload_certificates",
    "resolve",
    "reverse",
    "run",
    "serve",
    "split_proxied_datagram",
    "start_tls",
]
