"""Unix socket files: nobody who answers loses their path, and nobody's file is removed but our own."""
# ruff: noqa: ASYNC240 - a temporary folder holds nobody up

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet.system import socket_file
from tests.faults.running import running
from tests.programs import every_loop
from tests.turns import turns

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


def answers(path: Path) -> bool:
    """Say whether an echo server listens on the path."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        client.sendall(b"hello")
        return client.recv(5) == b"hello"


@contextmanager
def bound(path: Path, type_: int = socket.SOCK_STREAM) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, type_) as sock:
        sock.bind(str(path))
        yield sock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


# --- taking a path ----------------------------------------------------------------------------------------------------


@every_loop
def test_a_path_on_which_another_process_answers_is_refused(path: Path, loop: str) -> None:
    with running("serve_unix", loop, f"unix:{path}") as first:
        assert first.answer() == [str(path)]
        made = path.stat()
        with running("serve_unix", loop, f"unix:{path}") as second:
            assert second.answer() == f"listen on unix:{path}: somebody answers on this path"
            assert second.status() == 0
            assert not second.said()
        assert os.path.samestat(path.stat(), made)
        assert answers(path)
        first.signal(signal.SIGTERM)
        assert first.status() == 0
        assert not first.said()
    assert not path.exists()


async def test_a_path_whose_owner_has_no_room_in_its_backlog_is_refused(path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(bound(path)).listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(path))
        with pytest.raises(aionet.ListenError, match="somebody answers"):
            await aionet.listen(f"unix:{path}")
        assert path.is_socket()


async def test_a_path_of_another_kind_of_socket_is_refused(path: Path) -> None:
    with bound(path, socket.SOCK_DGRAM):
        with pytest.raises(aionet.ListenError, match="somebody answers"):
            await aionet.listen(f"unix:{path}")
        assert path.is_socket()


async def test_a_file_that_nobody_answers_behind_is_replaced(path: Path) -> None:
    with bound(path):
        pass
    assert path.is_socket()
    async with aionet.serve(f"unix:{path}", echo):
        assert await asyncio.to_thread(answers, path)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing"])
async def test_what_is_no_socket_is_refused_and_left_as_it_is(path: Path, kind: str) -> None:
    target = path.with_name("target")
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case "link":
            target.write_text("precious")
            path.symlink_to(target)
        case _:
            path.symlink_to(target)
    before = path.lstat()
    with pytest.raises(aionet.ListenError) as caught:
        await aionet.listen(f"unix:{path}")
    assert caught.value.errno == errno.EADDRINUSE
    assert "a file that is no socket has this path" in str(caught.value)
    assert os.path.samestat(path.lstat(), before)


async def test_a_path_in_a_folder_that_does_not_exist_is_an_error_that_names_it(path: Path) -> None:
    with pytest.raises(aionet.ListenError, match=f"listen on unix:{path}/s: No such file or directory") as caught:
        await aionet.listen(f"unix:{path}/s")
    assert caught.value.errno == errno.ENOENT


async def test_whoever_takes_a_path_waits_for_another_who_does(path: Path) -> None:
    with bound(path):
        pass
    lock = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    listening = asyncio.ensure_future(aionet.listen(f"unix:{path}"))
    await turns()
    assert not listening.done()
    os.close(lock)
    await (await listening).aclose()


async def test_a_lock_that_is_never_given_back_does_not_keep_anybody(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_file, "_LOCK_PAUSE", 0.0001)
    lock = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with aionet.listen(f"unix:{path}"):
            assert path.is_socket()
    finally:
        os.close(lock)


# --- giving it back ---------------------------------------------------------------------------------------------------


async def test_a_file_is_gone_when_its_server_is_closed(path: Path) -> None:
    server = await aionet.serve(f"unix:{path}", echo)
    assert path.is_socket()
    await server.aclose()
    assert not path.exists()
    await server.aclose()


async def test_a_file_is_gone_when_its_server_has_drained(path: Path) -> None:
    async with aionet.serve(f"unix:{path}", echo) as server:
        await server.drain(0)
        assert not path.exists()


async def test_a_file_is_gone_though_the_process_has_moved_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = await aionet.listen("unix:here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await listener.aclose()
    assert not (tmp_path / "here").exists()


async def test_a_file_that_somebody_has_put_in_its_place_stays(path: Path) -> None:
    listener = await aionet.listen(f"unix:{path}")
    path.unlink()
    with bound(path) as other:
        other.listen()
        await listener.aclose()
        assert path.is_socket()
        other.setblocking(False)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


async def test_a_file_that_is_gone_already_is_no_failure(path: Path) -> None:
    listener = await aionet.listen(f"unix:{path}")
    path.unlink()
    await listener.aclose()


async def test_until_the_file_is_gone_somebody_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another process could take the path in between, and lose its own file to us."""
    listener = await aionet.listen(f"unix:{path}")
    answered: list[bool] = []
    remove = socket_file.SocketFile.remove

    def connect_and_remove(file: socket_file.SocketFile) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            answered.append(client.connect_ex(str(path)) == 0)
        remove(file)

    monkeypatch.setattr(socket_file.SocketFile, "remove", connect_and_remove)
    await listener.aclose()
    assert answered == [True]
    assert not path.exists()


async def test_a_file_is_not_removed_by_a_child_that_inherited_its_listener(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await aionet.listen(f"unix:{path}")
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 1)
        await listener.aclose()
    assert path.is_socket()


@every_loop
def test_a_file_whose_socket_was_passed_on_stays(path: Path, loop: str) -> None:
    with bound(path) as listening:
        listening.listen()
        number = listening.fileno()
        with running("serve_unix", loop, f"fd://{number}", pass_fds=[number]) as script:
            assert script.answer() == [str(path)]
            assert answers(path)
            script.signal(signal.SIGTERM)
            assert script.status() == 0
            assert not script.said()
        assert path.is_socket()
        with running("serve_unix", loop, f"fd://{number}", pass_fds=[number]) as next_one:
            next_one.answer()
            assert answers(path)


# --- abstract names ---------------------------------------------------------------------------------------------------


async def test_an_abstract_name_has_no_file_and_one_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"@aionet-test-{os.getpid()}"
    for _ in range(2):
        async with aionet.listen(f"unix:{name}") as listener:
            assert listener.addresses == (aionet.UnixAddress(name),)
            with pytest.raises(aionet.ListenError, match=f"listen on unix:{name}: Address already in use"):
                await aionet.listen(f"unix:{name}")
            assert not list(tmp_path.iterdir())
