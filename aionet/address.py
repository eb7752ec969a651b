"""Addresses and endpoint strings: parse, format, compare.

An *address* is what the socket API takes and gives: numeric, resolved, one socket's worth. An *endpoint* is what a
person asks for: a scheme with a host name, a path or a descriptor, which may stand for several addresses.

Unix sockets have three kinds of names (man 7 unix), and ``path`` writes each of them as one string:

    /run/app.sock   a file; bytes that are no UTF-8 are kept as ``os.fsdecode`` keeps them (surrogateescape)
    @name           an abstract name (Linux), NUL and the name in the sockaddr; a file called @name is ./@name
    (empty)         an unnamed socket: the client end of most connections
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any, TypeAlias

import attrs

from aionet.errors import AddressError

__all__ = ["UNIX_PATH_MAX", "Address", "Endpoint", "EndpointLike", "InetAddress", "UnixAddress", "from_sockaddr"]

# sizeof(sun_path) less one byte: for the NUL that ends a path, or the one that begins an abstract name.
UNIX_PATH_MAX = 107 if sys.platform == "linux" else 103

_MAX_PORT = 0xFFFF
_MAX_FLOWINFO = 0xFFFFF
_MAX_SCOPE_ID = 0xFFFFFFFF
_MAX_FD = 0x7FFFFFFF
_INET_SCHEMES = ("tcp", "tls", "udp")
_FIELDS = {**dict.fromkeys(_INET_SCHEMES, ("host", "port")), "unix": ("path",), "fd": ("fd",)}
_FORMS = "tcp://host:port, tls://host:port, udp://host:port, unix:/path, unix:@name or fd://number"
# They would end the host in an endpoint string, or begin a part of a URL that endpoints do not have.
_NOT_IN_HOST = frozenset("/?#@[]%\\")


def _numeric_host(host: str) -> str:
    # A name must not get into a sockaddr: the socket module would resolve it right there, and block the loop.
    # IPv6 is brought into its canonical form (RFC 5952), so that equal addresses compare equal.
    try:
        if ":" in host:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        raise AddressError(
            f"bad host {host!r}: expected a numeric IPv4 or IPv6 address, without brackets or %scope"
        ) from None
    return host


def _endpoint_host(host: str | None) -> str | None:
    if host is None or host in ("", "*"):
        return None
    if ":" in host:
        numeric, percent, scope = host.partition("%")
        if percent and (not scope or not _is_plain(scope)):
            raise AddressError(
                f"bad scope {scope!r} in host {host!r}: expected an interface's name or number, as in %eth0 or %2"
            )
        return _numeric_host(numeric) + percent + scope
    if not _is_plain(host):
        raise AddressError(f"bad host {host!r}: expected a host name, an IPv4 address or an IPv6 address")
    # No top-level domain is a number, so this is a mistyped IPv4 address (or an ancient short form of one).
    if host.rstrip(".").rpartition(".")[2].isdigit():
        return _numeric_host(host)
    return host


def _is_plain(text: str) -> bool:
    return text.isprintable() and " " not in text and not _NOT_IN_HOST.intersection(text)


def _unix_path(path: str | bytes | os.PathLike[str]) -> str:
    text = os.fsdecode(path)
    if text.startswith("\0"):
        text = "@" + text[1:]
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise AddressError(f"bad Unix socket path {text!r}: it cannot be encoded for the file system") from None
    if "\0" in text and not text.startswith("@"):
        raise AddressError(
            f"bad Unix socket path {text!r}: a NUL may only stand in an abstract name, which begins with @"
        )
    return text


def _endpoint_path(path: str | bytes | os.PathLike[str] | None) -> str | None:
    if path is None:
        return None
    text = _unix_path(path)
    if text in ("", "@"):
        raise AddressError(f"bad Unix socket path {text!r}: expected a path, or @ and a name")
    # After ``unix:`` two slashes would mean a host. In a path they mean one (POSIX lets systems differ; ours do not).
    if text.startswith("//"):
        text = "/" + text.lstrip("/")
    size = len(os.fsencode(text.removeprefix("@")))
    if size > UNIX_PATH_MAX:
        raise AddressError(f"Unix socket path {text!r} is {size} bytes long: expected at most {UNIX_PATH_MAX}")
    return text


def _check_number(name: str, value: object, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise AddressError(f"bad {name} {value!r}: expected an integer from 0 to {highest}")
    return value


def _parse_number(name: str, text: str, highest: int) -> int:
    # isdigit alone would take digits of other scripts; int() refuses thousands of digits with an error of its own.
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(highest)):
        raise AddressError(f"bad {name} {text!r}: expected a number from 0 to {highest}")
    return _check_number(name, int(text), highest)


def _inet_sockaddr(address: InetAddress) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" in address.host:
        return (address.host, address.port, address.flowinfo, address.scope_id)
    return (address.host, address.port)


@attrs.frozen(order=True)
class InetAddress:
    """An IPv4 or IPv6 address and a port.

    ``host`` is numeric, without brackets; IPv6 is kept in its canonical form (RFC 5952). ``port`` is 0 to 65535.
    ``flowinfo`` (20 bits) and ``scope_id`` (the interface's number, 0 for none) belong to IPv6 only. ``str()`` gives
    ``127.0.0.1:80``, ``[::1]:80``, ``[fe80::1%2]:80``.

    Raises AddressError for a host that is not numeric and for numbers out of range.
    Source: RFC 4291, RFC 4007 (scopes), RFC 5952; man 7 ip, man 7 ipv6.
    """

    host: str = attrs.field(converter=_numeric_host)
    port: int
    flowinfo: int = 0
    scope_id: int = 0
    # What the socket module takes: (host, port) for IPv4, (host, port, flowinfo, scope_id) for IPv6. Kept, since every
    # datagram that is sent needs it.
    sockaddr: tuple[str, int] | tuple[str, int, int, int] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_inet_sockaddr, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        # Not as attrs validators, which cost a call a field: one address is made for each accepted connection.
        if type(self.port) is not int or not 0 <= self.port <= _MAX_PORT:
            _check_number("port", self.port, _MAX_PORT)
        if self.flowinfo or self.scope_id:
            _check_number("flowinfo", self.flowinfo, _MAX_FLOWINFO)
            _check_number("scope_id", self.scope_id, _MAX_SCOPE_ID)
            if ":" not in self.host:
                raise AddressError(f"bad address: flowinfo and scope_id belong to IPv6, and {self.host!r} is IPv4")

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        if ":" not in self.host:
            return f"{self.host}:{self.port}"
        scope = f"%{self.scope_id}" if self.scope_id else ""
        return f"[{self.host}{scope}]:{self.port}"


@attrs.frozen(order=True)
class UnixAddress:
    """The name of a Unix socket: a file, an abstract name (``@name``) or none (empty), as the module's text says.

    ``path`` may be given as str, bytes or a path object, an abstract name also with the NUL that a sockaddr has for @.
    Any length is taken, since a peer's name may be longer than what Python can bind; an Endpoint checks it.
    ``str()`` is for people: characters that do not print are escaped, and an unnamed socket is ``(unnamed)``.

    Raises AddressError for a NUL in a file's path.
    Source: man 7 unix.
    """

    path: str = attrs.field(default="", converter=_unix_path)

    @property
    def family(self) -> socket.AddressFamily:
        """AF_UNIX."""
        return socket.AF_UNIX

    @property
    def sockaddr(self) -> str | bytes:
        """What the socket module takes: a str, or for an abstract name bytes that begin with NUL."""
        if self.abstract:
            return b"\0" + os.fsencode(self.path[1:])
        return self.path

    @property
    def abstract(self) -> bool:
        """Whether this is a name in Linux's abstract namespace, which no file stands for."""
        return self.path.startswith("@")

    def __str__(self) -> str:
        if not self.path:
            return "(unnamed)"
        return self.path if self.path.isprintable() else self.path.encode("unicode_escape").decode("ascii")


Address: TypeAlias = InetAddress | UnixAddress


def from_sockaddr(family: int, sockaddr: tuple[Any, ...] | str | bytes | None) -> Address:
    """Make an address of what accept, getsockname, getpeername or recvfrom returned.

    Raises AddressError for a family other than AF_INET, AF_INET6 and AF_UNIX, and for a sockaddr of another family.
    """
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(sockaddr, tuple):
        return InetAddress(*sockaddr)
    if family == socket.AF_UNIX and not isinstance(sockaddr, tuple):
        # recvfrom gives None for an unnamed sender. A plain @ is a file's here: abstract names come with a NUL.
        path = os.fsdecode(sockaddr or "")
        return UnixAddress(f"./{path}" if path.startswith("@") else path)
    raise AddressError(f"bad sockaddr {sockaddr!r} of family {family!r}: expected one of AF_INET, AF_INET6 or AF_UNIX")


@attrs.frozen
class Endpoint:
    """Where to listen or to connect: a scheme, and what goes with it.

    | written | fields |
    |---|---|
    | ``tcp://host:port``, ``tls:``, ``udp:`` likewise | ``host``, ``port`` (0 to 65535; 0: any free port) |
    | ``unix:/path``, ``unix:///path``, ``unix:path``, ``unix:@name`` | ``path``, as in UnixAddress, nothing encoded |
    | ``fd://3`` | ``fd``, an open descriptor's number |

    The host is a name, an IPv4 address or an IPv6 address, which stands in brackets in the string and without in the
    field; a scope stays as written (``[fe80::1%eth0]``). An empty host or ``*`` is None: all interfaces, IPv4 and IPv6,
    where ``0.0.0.0`` and ``[::]`` are one family's. ``str()`` gives a string that parses to an equal endpoint.

    Raises AddressError for fields out of range, missing, or not of this scheme.
    Source: RFC 3986 (the form), RFC 4007 section 11 (scopes; not the %25 of RFC 6874).
    """

    scheme: str
    host: str | None = attrs.field(default=None, converter=_endpoint_host)
    port: int | None = None
    path: str | None = attrs.field(default=None, converter=_endpoint_path)
    fd: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.scheme not in _FIELDS:
            raise AddressError(f"unknown scheme {self.scheme!r}: expected {_FORMS}")
        for name in ("host", "port", "path", "fd"):
            value = getattr(self, name)
            if value is not None and name not in _FIELDS[self.scheme]:
                raise AddressError(
                    f"bad {name} {value!r}: {self.scheme} takes {' and '.join(_FIELDS[self.scheme])} only"
                )
            if value is None and name in _FIELDS[self.scheme] and name != "host":
                raise AddressError(f"missing {name}: {self.scheme} takes {' and '.join(_FIELDS[self.scheme])}")
        if self.port is not None:
            _check_number("port", self.port, _MAX_PORT)
        if self.fd is not None:
            _check_number("fd", self.fd, _MAX_FD)

    @classmethod
    def parse(cls, value: EndpointLike) -> Endpoint:
        """Make an endpoint of a string, an Address, a (host, port) pair or an endpoint.

        Pairs and Inet addresses become tcp; flowinfo, which no string can say, is left behind.

        Raises AddressError that names the value, what is wrong with it and what is expected.
        """
        if isinstance(value, Endpoint):
            return value
        try:
            return _parse(value)
        except AddressError as error:
            shown = repr(value) if isinstance(value, (str, tuple)) else repr(str(value))
            raise AddressError(f"bad endpoint {shown}: {error}") from None

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        if self.scheme == "fd":
            return f"fd://{self.fd}"
        host = "*" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


EndpointLike: TypeAlias = Endpoint | Address | str | tuple[str | None, int]


def _parse(value: Any) -> Endpoint:  # noqa: ANN401 - what it is, is for the match to find out
    match value:
        case str():
            return _parse_string(value)
        case InetAddress():
            host = f"{value.host}%{value.scope_id}" if value.scope_id else value.host
            return Endpoint("tcp", host=host, port=value.port)
        case UnixAddress():
            return Endpoint("unix", path=value.path)
        case (str() | None as host, port):
            return Endpoint("tcp", host=host, port=_check_number("port", port, _MAX_PORT))
        case _:
            raise AddressError(f"expected {_FORMS}, an address or a (host, port) pair, not {type(value).__name__}")


def _parse_string(text: str) -> Endpoint:
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in _FIELDS:
        raise AddressError(f"it does not begin with a known scheme: expected {_FORMS}")
    if scheme == "unix":
        return Endpoint(scheme, path=_parse_unix(rest))
    if not rest.startswith("//"):
        raise AddressError(f"no // after {scheme}: expected {_FORMS}")
    if scheme == "fd":
        return Endpoint(scheme, fd=_parse_number("fd", rest[2:], _MAX_FD))
    host, port = _split_host(rest[2:])
    return Endpoint(scheme, host=host, port=_parse_number("port", port, _MAX_PORT))


def _parse_unix(rest: str) -> str:
    if rest.startswith("//") and not rest.startswith("///"):
        name = rest[2:]
        raise AddressError(f"after unix:// comes an absolute path: expected unix:/{name} or unix:{name}")
    return rest


def _split_host(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in host or not port.startswith(":"):
            raise AddressError(f"bad host and port {text!r}: expected [IPv6 address]:port")
        return host, port[1:]
    host, colon, port = text.rpartition(":")
    if not colon:
        raise AddressError(f"no port in {text!r}: expected host:port")
    if ":" in host:
        raise AddressError(f"bad host {host!r}: expected an IPv6 address in brackets, as in [::1]:80")
    return host, port
