"""connect to what is on this machine alone: Unix sockets, and descriptors that are open already."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import ConnectError, ConnectTimeoutError, InetAddress, Timeouts, UnixAddress
from tests.leaks import open_descriptors
from tests.turns import running, turns
from tests.unit.stream.places import AT_ONCE, listening, listening_unix, peer_of

if TYPE_CHECKING:
    from collections.abc import Generator

# --- Unix sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder with a name short enough for Unix sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def test_a_unix_socket_is_connected_to_by_its_path_or_its_abstract_name(folder: Path) -> None:
    path = folder / "sock"
    with listening_unix(str(path)):
        assert await peer_of(f"unix:{path}") == UnixAddress(path)
    name = f"aionet-test-{os.getpid()}"
    with listening_unix(f"\0{name}"):
        assert await peer_of(f"unix:@{name}") == UnixAddress(f"@{name}")


async def test_a_unix_socket_that_nobody_serves_says_why(folder: Path) -> None:
    path = folder / "sock"
    with pytest.raises(ConnectError, match="No such file") as caught:
        await aionet.connect(f"unix:{path}")
    assert caught.value.attempts[0][0] == UnixAddress(path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with listening_unix(str(path)):
        pass
    with pytest.raises(ConnectError, match="Connection refused"):
        await aionet.connect(f"unix:{path}")


async def test_a_unix_socket_whose_backlog_is_full_is_waited_for(folder: Path) -> None:
    path = folder / "sock"
    with listening_unix(str(path), backlog=0) as sock:
        first = await aionet.connect(f"unix:{path}", timeouts=AT_ONCE)
        async with running(peer_of(f"unix:{path}")) as connecting:
            await turns(50)
            assert not connecting.done()
            sock.accept()[0].close()
            assert await connecting == UnixAddress(path)
        await first.aclose()


async def test_a_unix_socket_whose_backlog_stays_full_raises_when_the_time_is_up(folder: Path) -> None:
    path = folder / "sock"
    with listening_unix(str(path), backlog=0):
        first = await aionet.connect(f"unix:{path}", timeouts=AT_ONCE)
        with pytest.raises(ConnectTimeoutError, match=str(path)):
            await aionet.connect(f"unix:{path}", timeouts=Timeouts(connect=0.03))
        await first.aclose()


# --- descriptors ------------------------------------------------------------------------------------------------------


async def test_a_connected_descriptor_becomes_a_stream() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        async with aionet.connect(f"fd://{ours.detach()}", timeouts=AT_ONCE) as stream:
            await stream.send(b"hello")
            assert theirs.recv(10) == b"hello"
            theirs.send(b"world")
            assert await stream.recv() == b"world"
            assert not os.get_blocking(stream.get_extra_info("socket").fileno())


async def test_an_accepted_descriptor_knows_both_its_ends() -> None:
    with listening() as (sock, address), socket.create_connection(address.sockaddr[:2]) as client:
        descriptor = sock.accept()[0].detach()
        async with aionet.connect(f"fd://{descriptor}", timeouts=AT_ONCE) as stream:
            assert stream.local == address
            assert stream.peer == InetAddress(*client.getsockname())


@pytest.mark.parametrize("kind", ["closed", "file", "pipe", "unconnected", "listening", "datagram"])
async def test_a_descriptor_that_is_no_connected_stream_is_refused_and_left_to_its_owner(kind: str) -> None:
    with ExitStack() as stack:
        descriptor = _descriptor(kind, stack)
        before = open_descriptors()
        with pytest.raises(ConnectError, match=f"fd://{descriptor}"):
            await (await aionet.connect(f"fd://{descriptor}", timeouts=AT_ONCE)).aclose()
        assert open_descriptors() == before


def _descriptor(kind: str, stack: ExitStack) -> int:
    if kind == "closed":
        return 999_999
    if kind == "file":
        return stack.enter_context(tempfile.TemporaryFile()).fileno()
    if kind == "pipe":
        readable, writable = os.pipe()
        stack.callback(os.close, readable)
        stack.callback(os.close, writable)
        return readable
    if kind == "unconnected":
        return stack.enter_context(socket.socket()).fileno()
    if kind == "listening":
        return stack.enter_context(listening())[0].fileno()
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    stack.enter_context(other)
    return stack.enter_context(one).fileno()
