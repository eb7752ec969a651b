"""Options reach the kernel, and what it refuses is reported."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aionet.options import SocketOptions
from aionet.system import sockopts
from aionet.system.sockopts import RefusedOption, prepare_accepted, prepare_connecting, prepare_listening

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="what Linux does")

TCP, SOCKET = socket.IPPROTO_TCP, socket.SOL_SOCKET
EVERYTHING = SocketOptions(
    nodelay=True,
    keepalive=True,
    keepalive_idle=32767,
    keepalive_interval=32767,
    keepalive_count=127,
    user_timeout=1.5,
    receive_buffer=50_000,
    send_buffer=60_000,
    linger=7,
)


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def inet(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    family, host = request.param
    with socket.socket(family) as sock:
        yield sock, host


def assert_in_force(sock: socket.socket, options: SocketOptions) -> None:
    # Linux doubles the size of a buffer.
    doubled = 2 if sys.platform == "linux" else 1
    in_force = {
        "nodelay": bool(sock.getsockopt(TCP, socket.TCP_NODELAY)),
        "keepalive": bool(sock.getsockopt(SOCKET, socket.SO_KEEPALIVE)),
        "keepalive_idle": sock.getsockopt(TCP, socket.TCP_KEEPIDLE),
        "keepalive_interval": sock.getsockopt(TCP, socket.TCP_KEEPINTVL),
        "keepalive_count": sock.getsockopt(TCP, socket.TCP_KEEPCNT),
        "user_timeout": sock.getsockopt(TCP, socket.TCP_USER_TIMEOUT) / 1000,
        "receive_buffer": sock.getsockopt(SOCKET, socket.SO_RCVBUF) // doubled,
        "send_buffer": sock.getsockopt(SOCKET, socket.SO_SNDBUF) // doubled,
        "linger": struct.unpack("ii", sock.getsockopt(SOCKET, socket.SO_LINGER, 8))[1],
    }
    assert in_force == {name: getattr(options, name) for name in in_force}


@contextlib.contextmanager
def accepted(listener: socket.socket, host: str) -> Iterator[socket.socket]:
    listener.bind((host, 0))
    listener.listen()
    with socket.socket(listener.family) as client:
        client.connect(listener.getsockname())
        sock, _ = listener.accept()
        with sock:
            yield sock


@linux
def test_every_option_is_in_force_on_a_connecting_socket(inet: tuple[socket.socket, str]) -> None:
    sock, _ = inet
    assert prepare_connecting(sock, EVERYTHING) == ()
    assert_in_force(sock, EVERYTHING)


@linux
def test_an_accepted_socket_inherits_every_option_of_its_listener(inet: tuple[socket.socket, str]) -> None:
    listener, host = inet
    assert prepare_listening(listener, EVERYTHING) == ()
    with accepted(listener, host) as sock:
        assert_in_force(sock, EVERYTHING)


def test_an_accepted_socket_has_the_options(inet: tuple[socket.socket, str]) -> None:
    listener, host = inet
    options = SocketOptions(keepalive=True, keepalive_interval=9)
    prepare_listening(listener, options)
    with accepted(listener, host) as sock:
        assert prepare_accepted(sock, options) == ()
        assert sock.getsockopt(TCP, socket.TCP_NODELAY) != 0
        assert sock.getsockopt(SOCKET, socket.SO_KEEPALIVE) != 0
        assert sock.getsockopt(TCP, socket.TCP_KEEPINTVL) == 9


@linux
def test_an_accepted_socket_costs_no_system_call(inet: tuple[socket.socket, str]) -> None:
    sock, _ = inet
    closed = sock.dup()
    closed.close()
    assert prepare_accepted(closed, EVERYTHING) == ()  # on a closed socket every call would be refused
    assert prepare_connecting(closed, EVERYTHING) != ()


@linux
def test_where_nothing_is_inherited_an_accepted_socket_is_set(
    inet: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockopts, "_LINUX", False)
    listener, host = inet
    with accepted(listener, host) as sock:
        prepare_accepted(sock, EVERYTHING)
        assert_in_force(sock, EVERYTHING)


def test_nodelay_can_be_left_off(inet: tuple[socket.socket, str]) -> None:
    sock, _ = inet
    prepare_connecting(sock, SocketOptions(nodelay=False))
    assert sock.getsockopt(TCP, socket.TCP_NODELAY) == 0


@pytest.mark.parametrize(
    ("reuse_address", "listening", "connecting"), [(None, True, False), (True, True, True), (False, False, False)]
)
def test_addresses_are_reused_by_listeners_unless_it_is_said_otherwise(
    reuse_address: bool | None,  # noqa: FBT001 - pytest passes it by name
    listening: bool,  # noqa: FBT001
    connecting: bool,  # noqa: FBT001
) -> None:
    options = SocketOptions(reuse_address=reuse_address)
    with socket.socket() as listener, socket.socket() as client:
        prepare_listening(listener, options)
        prepare_connecting(client, options)
        assert bool(listener.getsockopt(SOCKET, socket.SO_REUSEADDR)) is listening
        assert bool(client.getsockopt(SOCKET, socket.SO_REUSEADDR)) is connecting


def test_two_listeners_share_a_port_with_reuse_port(inet: tuple[socket.socket, str]) -> None:
    one, host = inet
    with socket.socket(one.family) as other:
        for sock in (one, other):
            assert prepare_listening(sock, SocketOptions(reuse_port=True)) == ()
        one.bind((host, 0))
        one.listen()
        other.bind(one.getsockname())
        other.listen()


@pytest.mark.parametrize("dual_stack", [True, False])
def test_dual_stack_decides_whether_an_ipv6_listener_takes_ipv4(dual_stack: bool) -> None:  # noqa: FBT001
    with socket.socket(socket.AF_INET6) as listener, socket.socket() as client:
        assert prepare_listening(listener, SocketOptions(dual_stack=dual_stack)) == ()
        listener.bind(("::", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = contextlib.nullcontext() if dual_stack else pytest.raises(ConnectionRefusedError)
        with refused:
            client.connect(("127.0.0.1", port))


def test_an_option_that_comes_too_late_is_reported_with_the_systems_words() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        (refused,) = prepare_listening(listener, SocketOptions(dual_stack=True))
    assert refused == RefusedOption("dual_stack", True, None, "Invalid argument")
    assert str(refused) == "dual_stack=True: Invalid argument; granted: None"


@linux
def test_a_buffer_above_the_systems_cap_is_reported_with_what_was_granted() -> None:
    largest = 2**30 - 1
    with socket.socket() as sock:
        refused = prepare_connecting(sock, SocketOptions(receive_buffer=largest, send_buffer=largest))
    caps = {name: int(Path("/proc/sys/net/core", name).read_text()) for name in ("rmem_max", "wmem_max")}
    assert [(option.name, option.requested, option.granted) for option in refused] == [
        ("receive_buffer", largest, caps["rmem_max"]),
        ("send_buffer", largest, caps["wmem_max"]),
    ]
    assert "capped" in refused[0].reason


@linux
def test_a_buffer_below_the_systems_minimum_is_reported_too() -> None:
    with socket.socket() as sock:
        (refused,) = prepare_connecting(sock, SocketOptions(receive_buffer=1))
        assert refused.granted == sock.getsockopt(SOCKET, socket.SO_RCVBUF) // 2
    assert "minimum" in refused.reason


@linux
def test_a_backlog_above_the_systems_cap_is_reported(inet: tuple[socket.socket, str]) -> None:
    cap = int(Path("/proc/sys/net/core/somaxconn").read_text())
    sock, _ = inet
    assert prepare_listening(sock, SocketOptions(backlog=cap)) == ()
    (refused,) = prepare_listening(sock, SocketOptions(backlog=cap + 1))
    assert (refused.name, refused.requested, refused.granted) == ("backlog", cap + 1, cap)
    assert prepare_connecting(sock, SocketOptions(backlog=cap + 1)) == ()


def test_an_option_that_the_system_lacks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    with socket.socket() as sock:
        (refused,) = prepare_connecting(sock, SocketOptions(user_timeout=5))
    assert refused == RefusedOption("user_timeout", 5, None, "this system has no such option")


@linux
@pytest.mark.parametrize(("enabled", "client", "server"), [(0, False, False), (1, True, False), (3, True, True)])
def test_fast_open_is_set_where_the_system_has_it_on_and_reported_elsewhere(
    enabled: int,
    client: bool,  # noqa: FBT001
    server: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The real setting is the administrator's; taking the option is the kernel's, and real here.
    monkeypatch.setattr(sockopts, "_sysctl", {"net.ipv4.tcp_fastopen": enabled}.get)
    options = SocketOptions(fast_open=True)
    with socket.socket() as connecting, socket.socket() as listening:
        refused = [*prepare_connecting(connecting, options), *prepare_listening(listening, options)]
        assert bool(listening.getsockopt(TCP, socket.TCP_FASTOPEN)) is server
    assert len(refused) == [client, server].count(False)
    assert all(option.name == "fast_open" and f"tcp_fastopen={enabled}" in option.reason for option in refused)


@linux
def test_fast_open_is_reported_as_the_system_here_has_it() -> None:
    enabled = int(Path("/proc/sys/net/ipv4/tcp_fastopen").read_text())
    with socket.socket() as listening:
        refused = prepare_listening(listening, SocketOptions(fast_open=True))
    assert bool(refused) is not bool(enabled & 2)


def test_the_defaults_are_never_refused_on_a_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        assert prepare_connecting(sock, SocketOptions()) == ()
        assert [option.name for option in prepare_listening(sock, SocketOptions())] in ([], ["backlog"])
        assert prepare_accepted(sock, SocketOptions()) == ()


def test_options_of_inet_are_reported_on_a_unix_socket() -> None:
    options = SocketOptions(
        reuse_address=True, reuse_port=True, keepalive=True, user_timeout=5, dual_stack=True, linger=0, fast_open=True
    )
    names = ["reuse_address", "reuse_port", "keepalive", "user_timeout", "dual_stack", "linger", "fast_open"]
    with socket.socket(socket.AF_UNIX) as sock:
        refused = prepare_connecting(sock, options)
    assert [option.name for option in refused] == names
    assert {option.reason for option in refused} == {"Unix sockets have no such option"}


def test_buffers_are_set_on_a_unix_socket_too() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        before = sock.getsockopt(SOCKET, socket.SO_SNDBUF)
        assert prepare_connecting(sock, SocketOptions(send_buffer=50_000)) == ()
        assert sock.getsockopt(SOCKET, socket.SO_SNDBUF) in {50_000, 100_000} - {before}
