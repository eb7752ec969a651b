"""aionet: networking for asyncio. Streams, servers and sockets, one contract on every event loop."""

from aionet.address import Address, Endpoint, EndpointLike, InetAddress, UnixAddress, from_sockaddr
from aionet.datagram.cookies import Cookies
from aionet.datagram.endpoint import DatagramEndpoint
from aionet.datagram.open import bind_datagram, connect_datagram
from aionet.datagram.sessions import DatagramSession
from aionet.datagram.statistics import DatagramStatistics
from aionet.errors import (
    AddressError,
    AionetError,
    AmplificationError,
    BrokenStreamError,
    BusyError,
    ClosedError,
    ClosedStreamError,
    ConnectError,
    ConnectTimeoutError,
    DatagramError,
    DatagramRefusedError,
    DatagramTooLargeError,
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
    SessionTimeoutError,
    StreamBrokenPipeError,
    StreamResetError,
    StreamTimeoutError,
    TLSCertificateError,
    TLSError,
    TLSHandshakeError,
    TLSHandshakeTimeoutError,
    TruncatedStreamError,
)
from aionet.options import ECN, DatagramOptions, Limits, SessionOptions, SocketOptions, Timeouts
from aionet.server.datagrams import DatagramServer, DatagramServerStatistics, serve_datagram
from aionet.server.hooks import Hooks, ServerStatistics
from aionet.server.life import DrainResult, ServerState
from aionet.server.server import Server, serve
from aionet.stream.connect import connect
from aionet.stream.framed import Framed
from aionet.stream.listen import Listener, listen
from aionet.stream.pipeline import Pipeline
from aionet.stream.relayed import proxy_header_for
from aionet.stream.stream import Stream, StreamStatistics
from aionet.system.loops import available_loops, current_loop_name, loop_factory, run
from aionet.system.opening import Opening
from aionet.system.resolver import Resolver, resolve, reverse
from aionet.system.sockets import AsyncSocket
from aionet.system.sockopts import RefusedOption
from aionet.system.tls_context import reload_certificates
from aionet.tls import Certificate, TLSConfig, TLSInfo
from aionet.transport.create import create_connection, create_server
from aionet.transport.create_datagram import create_datagram_endpoint
from aionet.transport.datagram import DatagramTransport
from aionet.transport.protocol import BufferedProtocol, DatagramProtocol, Protocol
from aionet.transport.received import Datagram, DatagramBatch
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
    "ECN",
    "NEED_MORE",
    "Address",
    "AddressError",
    "AionetError",
    "AmplificationError",
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
    "Cookies",
    "Datagram",
    "DatagramBatch",
    "DatagramEndpoint",
    "DatagramError",
    "DatagramOptions",
    "DatagramProtocol",
    "DatagramRefusedError",
    "DatagramServer",
    "DatagramServerStatistics",
    "DatagramSession",
    "DatagramStatistics",
    "DatagramTooLargeError",
    "DatagramTransport",
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
    "SessionOptions",
    "SessionTimeoutError",
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
    "bind_datagram",
    "build_proxy_header",
    "connect",
    "connect_datagram",
    "create_connection",
    "create_datagram_endpoint",
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
    "serve_datagram",
    "split_proxied_datagram",
    "start_tls",
]
