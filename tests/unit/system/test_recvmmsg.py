"""recvmmsg: many datagrams at once, each with its own sender."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

import pytest

from aionet import InetAddress
from aionet.system import recvmmsg
from aionet.system.recvmmsg import BATCH, inet_address, reader, sockaddr
from aionet.transport.received import Peers

families = pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"]
)


def bound(family: int, host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def receive(sock: socket.socket, most: int = BATCH) -> list[tuple[bytes, object]]:
    found = reader()
    assert found is not None
    return found.receive(sock.fileno(), sock.family, most, lambda data, peer: (data, peer), Peers(sockaddr))


@families
def test_each_datagram_comes_whole_and_with_its_sender(family: int, host: str) -> None:
    with ExitStack() as stack:
        ours, *theirs = (stack.enter_context(bound(family, host)) for _ in range(4))
        sent = [(bytes([number]) * size, number % 3) for number, size in enumerate((0, 1, 200, 1500, 9000, 65000))]
        for data, sender in sent:
            theirs[sender].sendto(data, ours.getsockname())
        expected = [(data, theirs[sender].getsockname()) for data, sender in sent]
        assert receive(ours) == expected
        assert receive(ours) == []


def test_the_families_do_not_disturb_each_other() -> None:
    with bound(socket.AF_INET, "127.0.0.1") as four, bound(socket.AF_INET6, "::1") as six:
        for _ in range(2):
            for sock in (four, six):
                sock.sendto(b"x", sock.getsockname())
            assert receive(four) == [(b"x", four.getsockname())]
            assert receive(six) == [(b"x", six.getsockname())]


def test_no_more_are_taken_than_were_asked_for() -> None:
    with bound(socket.AF_INET, "127.0.0.1") as ours:
        for number in range(40):
            ours.sendto(b"%d" % number, ours.getsockname())
        got = [int(data) for most in (1, 7, BATCH) for data, _ in receive(ours, most)]
        assert got == list(range(40))


def test_an_error_is_the_systems_own() -> None:
    with bound(socket.AF_INET, "127.0.0.1") as nobody:
        address = nobody.getsockname()
    with bound(socket.AF_INET, "127.0.0.1") as ours:
        ours.connect(address)
        ours.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            receive(ours)
        assert receive(ours) == []
        descriptor = ours.fileno()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        reader().receive(descriptor, socket.AF_INET, 1, lambda data, _: data, {})  # type: ignore[union-attr]
    assert caught.value.errno == errno.EBADF


def test_a_sockaddr_is_the_address_that_the_socket_module_would_give() -> None:
    four = bytes([2, 0, 0x14, 0xE9, 192, 0, 2, 1]) + bytes(8)
    assert inet_address(four) == InetAddress("192.0.2.1", 5353)
    six = bytes([10, 0, 0, 53, 0, 0, 0, 5]) + socket.inet_pton(socket.AF_INET6, "fe80::1") + bytes([3, 0, 0, 0])
    assert inet_address(six) == InetAddress("fe80::1", 53, 5, 3)
    assert sockaddr(six) == ("fe80::1", 53, 5, 3)


def test_where_the_system_has_none_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert recvmmsg._function() is None
    monkeypatch.setattr(recvmmsg, "_recvmmsg", None)
    assert reader() is None
