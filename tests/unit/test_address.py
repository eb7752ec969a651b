"""Addresses and endpoint strings: what goes in comes out again, and what is wrong is said."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.address import UNIX_PATH_MAX, Address, Endpoint, InetAddress, UnixAddress, from_sockaddr
from aionet.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")

ports = st.integers(0, 65535)
ipv4_hosts = st.ip_addresses(v=4).map(str)
ipv6_hosts = st.ip_addresses(v=6).map(str)
scopes = st.sampled_from(["eth0", "wlan0.5", "br-12", "eth0:1", "7"])
names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,3}", fullmatch=True)
inet_addresses = st.builds(InetAddress, ipv4_hosts, ports) | st.builds(
    InetAddress, ipv6_hosts, ports, st.integers(0, 2**20 - 1), st.integers(0, 2**32 - 1)
)
unix_names = st.binary(max_size=UNIX_PATH_MAX).map(lambda name: b"\0" + name)
unix_paths = st.binary(max_size=UNIX_PATH_MAX).filter(lambda path: b"\0" not in path)
unix_addresses = st.builds(UnixAddress, unix_names | unix_paths)
hosts = (
    names | ipv4_hosts | ipv6_hosts | st.builds("{}%{}".format, ipv6_hosts, scopes) | st.sampled_from([None, "", "*"])
)
endpoints = (
    st.builds(Endpoint, st.sampled_from(["tcp", "tls", "udp"]), host=hosts, port=ports)
    | st.builds(
        lambda path: Endpoint("unix", path=path),
        (unix_names | unix_paths).filter(lambda path: path.removeprefix(b"@") not in (b"", b"\0")),
    )
    | st.builds(lambda fd: Endpoint("fd", fd=fd), st.integers(0, 2**31 - 1))
)


@given(inet_addresses | unix_addresses)
def test_an_address_survives_the_socket_api(address: Address) -> None:
    again = from_sockaddr(address.family, address.sockaddr)
    assert again == address
    assert hash(again) == hash(address)


@given(unix_names | unix_paths)
def test_a_unix_sockaddr_survives_as_an_address(sockaddr: bytes) -> None:
    address = from_sockaddr(socket.AF_UNIX, sockaddr)
    assert isinstance(address, UnixAddress)
    expected = b"./" + sockaddr if sockaddr.startswith(b"@") else sockaddr
    assert os.fsencode(address.sockaddr) == expected


@given(inet_addresses)
def test_an_inet_address_is_an_endpoint_with_the_same_text(address: InetAddress) -> None:
    endpoint = Endpoint.parse(address)
    assert str(endpoint) == f"tcp://{address}"
    assert Endpoint.parse(f"tcp://{address}") == endpoint


@given(endpoints)
def test_an_endpoint_survives_its_string(endpoint: Endpoint) -> None:
    assert Endpoint.parse(str(endpoint)) == endpoint
    assert str(Endpoint.parse(str(endpoint))) == str(endpoint)


@given(st.sampled_from(["", "tcp://", "udp://[", "unix:", "unix://", "fd://"]), st.text())
def test_any_text_is_an_endpoint_or_a_clear_error(prefix: str, text: str) -> None:
    try:
        endpoint = Endpoint.parse(prefix + text)
    except AddressError as error:
        assert repr(prefix + text) in str(error)  # noqa: PT017 - both outcomes are good
    else:
        assert Endpoint.parse(str(endpoint)) == endpoint


@given(st.tuples(st.none() | st.text(), st.integers() | st.text()))
def test_any_pair_is_an_endpoint_or_a_clear_error(pair: tuple[str | None, Any]) -> None:
    try:
        endpoint = Endpoint.parse(pair)
    except AddressError as error:
        assert repr(pair) in str(error)  # noqa: PT017 - both outcomes are good
    else:
        assert (endpoint.scheme, endpoint.port) == ("tcp", pair[1])


@pytest.mark.parametrize(
    ("address", "text", "family", "sockaddr"),
    [
        (InetAddress("127.0.0.1", 80), "127.0.0.1:80", socket.AF_INET, ("127.0.0.1", 80)),
        (InetAddress("::1", 80), "[::1]:80", socket.AF_INET6, ("::1", 80, 0, 0)),
        (InetAddress("fe80::1", 80, 5, 2), "[fe80::1%2]:80", socket.AF_INET6, ("fe80::1", 80, 5, 2)),
        (UnixAddress("/run/x"), "/run/x", socket.AF_UNIX, "/run/x"),
        (UnixAddress(b"/run/x"), "/run/x", socket.AF_UNIX, "/run/x"),
        (UnixAddress(Path("/run/x")), "/run/x", socket.AF_UNIX, "/run/x"),
        (UnixAddress("@x"), "@x", socket.AF_UNIX, b"\0x"),
        (UnixAddress("\0x"), "@x", socket.AF_UNIX, b"\0x"),
        (UnixAddress(b"\0x"), "@x", socket.AF_UNIX, b"\0x"),
        (UnixAddress(), "(unnamed)", socket.AF_UNIX, ""),
    ],
)
def test_an_address_shows_as_people_write_it(address: Address, text: str, family: int, sockaddr: object) -> None:
    assert str(address) == text
    assert address.family == family
    assert address.sockaddr == sockaddr


@pytest.mark.parametrize(
    ("path", "text"), [("/run/a\nb", "/run/a\\nb"), (b"/run/\xff", "/run/\\udcff"), (b"\0a\0\0", "@a\\x00\\x00")]
)
def test_a_unix_address_shows_without_characters_that_would_spoil_a_log(path: str | bytes, text: str) -> None:
    assert str(UnixAddress(path)) == text


def test_addresses_that_are_spelled_differently_are_equal() -> None:
    assert InetAddress("0:0:0:0:0:0:0:1", 80) == InetAddress("::1", 80)
    assert InetAddress("FE80::A", 80) == InetAddress("fe80:0::a", 80)
    assert Endpoint.parse("tcp://[0::1]:80") == Endpoint.parse("TCP://[::1]:080")


def test_addresses_are_ordered_hashed_and_frozen() -> None:
    low, high = InetAddress("10.0.0.1", 80), InetAddress("10.0.0.1", 443)
    assert sorted([high, low]) == [low, high]
    assert sorted([UnixAddress("/b"), UnixAddress("/a")]) == [UnixAddress("/a"), UnixAddress("/b")]
    assert len({low, high, InetAddress("10.0.0.1", 80)}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        low.port = 81  # type: ignore[misc]


@pytest.mark.parametrize(
    "host",
    [
        *("", "localhost", "127.1", "127.0.0.256", "127.0.0.01", "1.2.3.4.5", " 127.0.0.1", "127.0.0.1\0"),
        *("[::1]", "::1%lo", "::g", "1:2", "\ud800", "\u0661.1.1.1"),
    ],
)
def test_an_inet_address_takes_only_numeric_hosts(host: str) -> None:
    with pytest.raises(AddressError, match="numeric") as caught:
        InetAddress(host, 80)
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536, True, 80.0, "80", None])
def test_a_port_is_an_integer_from_0_to_65535(port: Any) -> None:
    with pytest.raises(AddressError) as caught:
        InetAddress("127.0.0.1", port)
    assert str(caught.value) == f"bad port {port!r}: expected an integer from 0 to 65535"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flowinfo": 2**20}, "bad flowinfo 1048576"),
        ({"scope_id": -1}, "bad scope_id -1"),
        ({"scope_id": "eth0"}, "bad scope_id 'eth0'"),
        ({"host": "127.0.0.1", "scope_id": 2}, "'127.0.0.1' is IPv4"),
    ],
)
def test_flowinfo_and_scope_are_numbers_of_ipv6(values: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"host": "::1", "port": 80, **values}
    with pytest.raises(AddressError, match=message):
        InetAddress(**fields)


@pytest.mark.parametrize("path", ["/run/a\0b", b"/a\0", "/\ud800"])
def test_a_unix_path_is_one_that_the_file_system_can_have(path: str | bytes) -> None:
    with pytest.raises(AddressError, match="bad Unix socket path"):
        UnixAddress(path)


@pytest.mark.parametrize(
    ("family", "sockaddr"), [(-1, ("a", 1)), (socket.AF_UNIX, ("127.0.0.1", 1)), (socket.AF_INET, "/run/x")]
)
def test_a_sockaddr_of_another_family_is_refused(family: int, sockaddr: Any) -> None:
    with pytest.raises(AddressError, match="expected one of AF_INET, AF_INET6 or AF_UNIX"):
        from_sockaddr(family, sockaddr)


@pytest.mark.parametrize(
    ("value", "endpoint", "text"),
    [
        ("tcp://127.0.0.1:8000", Endpoint("tcp", host="127.0.0.1", port=8000), "tcp://127.0.0.1:8000"),
        ("tls://example.org:443", Endpoint("tls", host="example.org", port=443), "tls://example.org:443"),
        ("udp://[::]:5353", Endpoint("udp", host="::", port=5353), "udp://[::]:5353"),
        ("tcp://[fe80::1%eth0]:80", Endpoint("tcp", host="fe80::1%eth0", port=80), "tcp://[fe80::1%eth0]:80"),
        ("tcp://:80", Endpoint("tcp", port=80), "tcp://*:80"),
        ("tcp://*:80", Endpoint("tcp", port=80), "tcp://*:80"),
        ("TCP://Example.org:0", Endpoint("tcp", host="Example.org", port=0), "tcp://Example.org:0"),
        ("unix:/run/x", Endpoint("unix", path="/run/x"), "unix:/run/x"),
        ("unix:///run/x", Endpoint("unix", path="/run/x"), "unix:/run/x"),
        ("unix:run/x", Endpoint("unix", path="run/x"), "unix:run/x"),
        ("unix:/a b%20", Endpoint("unix", path="/a b%20"), "unix:/a b%20"),
        ("unix:@x", Endpoint("unix", path="@x"), "unix:@x"),
        ("unix:./@x", Endpoint("unix", path="./@x"), "unix:./@x"),
        ("fd://3", Endpoint("fd", fd=3), "fd://3"),
        (("::1", 80), Endpoint("tcp", host="::1", port=80), "tcp://[::1]:80"),
        (("localhost", 80), Endpoint("tcp", host="localhost", port=80), "tcp://localhost:80"),
        ((None, 80), Endpoint("tcp", port=80), "tcp://*:80"),
        (InetAddress("fe80::1", 80, 0, 2), Endpoint("tcp", host="fe80::1%2", port=80), "tcp://[fe80::1%2]:80"),
        (UnixAddress(b"\0x"), Endpoint("unix", path="@x"), "unix:@x"),
        (Endpoint("fd", fd=3), Endpoint("fd", fd=3), "fd://3"),
    ],
)
def test_an_endpoint_is_read_from_each_form(value: Any, endpoint: Endpoint, text: str) -> None:
    assert Endpoint.parse(value) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "does not begin with a known scheme: expected tcp://host:port"),
        ("localhost:80", "does not begin with a known scheme"),
        ("/run/x", "does not begin with a known scheme"),
        (" tcp://h:1", "does not begin with a known scheme"),
        ("http://h:1", "does not begin with a known scheme"),
        ("tcp:h:1", "no // after tcp"),
        ("fd:3", "no // after fd"),
        ("tcp://h", "no port in 'h': expected host:port"),
        ("tcp://h:", "bad port ''"),
        ("tcp://h:http", "bad port 'http': expected a number from 0 to 65535"),
        ("tcp://h:65536", "bad port 65536"),
        ("tcp://h:-1", "bad port '-1'"),
        ("tcp://h:\u0663", "bad port '\u0663'"),
        ("tcp://h:" + "9" * 5000, "bad port"),
        ("tcp://h:80/", "bad port '80/'"),
        ("tcp://::1:80", "expected an IPv6 address in brackets, as in [::1]:80"),
        ("tcp://[::1]", "expected [IPv6 address]:port"),
        ("tcp://[::1:80", "expected [IPv6 address]:port"),
        ("tcp://[::1]80", "expected [IPv6 address]:port"),
        ("tcp://[localhost]:80", "expected [IPv6 address]:port"),
        ("tcp://[::g]:80", "bad host '::g'"),
        ("tcp://[::1%]:80", "bad scope ''"),
        ("tcp://[::1%a b]:80", "bad scope 'a b'"),
        ("tcp://user@h:80", "bad host 'user@h'"),
        ("tcp://a b:80", "bad host 'a b'"),
        ("tcp://a\0:80", "bad host 'a\\x00'"),
        ("tcp://127.0.0.256:80", "bad host '127.0.0.256': expected a numeric"),
        ("tcp://127.1:80", "bad host '127.1': expected a numeric"),
        ("unix:", "bad Unix socket path ''"),
        ("unix:@", "bad Unix socket path '@'"),
        ("unix://run/x", "expected unix:/run/x or unix:run/x"),
        ("unix:/a\0b", "a NUL may only stand in an abstract name"),
        ("unix:/" + "x" * UNIX_PATH_MAX, f"expected at most {UNIX_PATH_MAX}"),
        ("unix:/" + "é" * (UNIX_PATH_MAX // 2 + 1), f"expected at most {UNIX_PATH_MAX}"),
        ("unix:@" + "x" * (UNIX_PATH_MAX + 1), f"expected at most {UNIX_PATH_MAX}"),
        ("fd://", "bad fd ''"),
        ("fd://-1", "bad fd '-1'"),
        ("fd://2147483648", "bad fd 2147483648"),
        (("h", "80"), "bad port '80'"),
        (("h", True), "bad port True"),
        (("[::1]", 80), "without brackets"),
        (("h", 80, 0), "not tuple"),
        (UnixAddress(""), "bad Unix socket path ''"),
        (80, "not int"),
        (None, "not NoneType"),
    ],
)
def test_a_bad_endpoint_is_named_with_its_problem(value: Any, problem: str) -> None:
    with pytest.raises(AddressError) as caught:
        Endpoint.parse(value)
    message = str(caught.value)
    assert message.startswith("bad endpoint ")
    assert isinstance(value, UnixAddress) or repr(value) in message or repr(str(value)) in message
    assert problem in message


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"scheme": "http"}, "unknown scheme 'http': expected tcp://host:port"),
        ({"scheme": "tcp"}, "missing port: tcp takes host and port"),
        ({"scheme": "unix"}, "missing path: unix takes path"),
        ({"scheme": "fd"}, "missing fd: fd takes fd"),
        ({"scheme": "tcp", "port": 1, "path": "/x"}, "bad path '/x': tcp takes host and port only"),
        ({"scheme": "unix", "path": "/x", "port": 1}, "bad port 1: unix takes path only"),
        ({"scheme": "tcp", "port": 70000}, "bad port 70000"),
        ({"scheme": "fd", "fd": -1}, "bad fd -1"),
    ],
)
def test_an_endpoint_has_the_fields_of_its_scheme(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(AddressError) as caught:
        Endpoint(**fields)
    assert problem in str(caught.value)


@pytest.fixture
def unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    # Paths are short when they are relative, wherever the temporary directory is.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        yield sock


def of(sock: socket.socket) -> Address:
    return from_sockaddr(sock.family, sock.getsockname())


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_takes_an_inet_address_and_gives_it_back(family: int, host: str) -> None:
    with socket.socket(family) as sock:
        sock.bind(InetAddress(host, 0).sockaddr)
        address = of(sock)
    assert isinstance(address, InetAddress)
    assert (address.family, address.host) == (family, host)
    assert address.port != 0


@pytest.mark.parametrize("path", ["x", b"\xff\xfe", "ü", "./@x"])
def test_the_kernel_takes_a_unix_path_and_gives_it_back(unix_socket: socket.socket, path: str | bytes) -> None:
    unix_socket.bind(UnixAddress(path).sockaddr)
    assert Path(os.fsdecode(path)).is_socket()
    assert of(unix_socket) == UnixAddress(path)


def test_a_file_that_begins_with_an_at_sign_is_no_abstract_name(unix_socket: socket.socket) -> None:
    unix_socket.bind("@x")
    address = of(unix_socket)
    assert address == UnixAddress("./@x")
    with socket.socket(socket.AF_UNIX) as client:
        unix_socket.listen()
        client.connect(address.sockaddr)


@linux
@pytest.mark.parametrize("name", [b"aionet-test", b"aionet\xfftest\0\0"])
def test_the_kernel_takes_an_abstract_name_and_gives_it_back(unix_socket: socket.socket, name: bytes) -> None:
    unique = name + str(os.getpid()).encode()
    unix_socket.bind(UnixAddress(b"@" + unique).sockaddr)
    address = of(unix_socket)
    assert isinstance(address, UnixAddress)
    assert address.abstract
    assert address.sockaddr == b"\0" + unique


def test_the_client_end_of_a_unix_connection_is_unnamed(unix_socket: socket.socket) -> None:
    unix_socket.bind("x")
    unix_socket.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("x")
        accepted, peer = unix_socket.accept()
        accepted.close()
        assert of(client) == from_sockaddr(socket.AF_UNIX, peer) == UnixAddress("")


def test_a_datagram_from_an_unnamed_socket_has_an_unnamed_address() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.send(b"x")
        assert from_sockaddr(socket.AF_UNIX, other.recvfrom(1)[1]) == UnixAddress("")


def test_the_longest_path_of_an_endpoint_is_the_longest_that_can_be_bound(unix_socket: socket.socket) -> None:
    endpoint = Endpoint.parse("unix:" + "x" * UNIX_PATH_MAX)
    assert endpoint.path is not None
    with pytest.raises(OSError, match="path too long"):
        unix_socket.bind(endpoint.path + "x")
    unix_socket.bind(endpoint.path)
