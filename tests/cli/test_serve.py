"""``aionet serve``, as its users run it."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from aionet.cli.serve.handler import HandlerError, import_handler
from tests.commands import aionet, running
from tests.programs import PATIENCE, every_loop, receive_all

if TYPE_CHECKING:
    from pathlib import Path

APP = """
import functools

async def echo(stream):
    async for data in stream:
        await stream.send(data)

async def waits(stream):
    await stream.send(b"hello")
    await stream.draining.wait()
    await stream.send(b"goodbye")

async def stubborn(stream):
    await stream.send(b"hello")
    await stream.recv()

async def fails(stream):
    raise LookupError("no such thing")

async def of_two(stream, other): pass

class Service:
    async def method(self, stream): await stream.send(b"method")
    async def __call__(self, stream): await stream.send(b"call")

service = Service()
partial = functools.partial(of_two, other=1)
number = 3
def plain(stream): pass
"""

FREE_PORT = "tcp://127.0.0.1:0"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    return tmp_path


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@every_loop
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_status_is_0(app: Path, loop: str, number: signal.Signals) -> None:
    with running("serve", "app:waits", "--bind", FREE_PORT, "--loop", loop, cwd=app) as server:
        with connect(server.port()) as client:
            assert client.recv(100) == b"hello"
            server.process.send_signal(number)
            assert receive_all(client) == b"goodbye"
        done = server.end()
    assert done.status == 0
    assert done.errors == (
        "draining 1 connection; again to abort\nclosed: 1 connection accepted, 0 handlers failed, 0 aborted\n"
    )


@every_loop
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_aborts_and_is_in_the_status(app: Path, loop: str, number: signal.Signals, status: int) -> None:
    with running("serve", "app:stubborn", "--bind", FREE_PORT, "--loop", loop, cwd=app) as server:
        with connect(server.port()) as client:
            assert client.recv(100) == b"hello"
            server.process.send_signal(number)
            server.hear("draining")
            server.process.send_signal(number)
            with pytest.raises(ConnectionResetError):
                receive_all(client)
        done = server.end()
    assert done.status == status
    assert done.errors == "closed: 1 connection accepted, 0 handlers failed, 1 aborted\n"


def test_draining_ends_with_its_time(app: Path) -> None:
    with running("serve", "app:stubborn", "--bind", FREE_PORT, "--drain", "0.1", cwd=app) as server:
        with connect(server.port()) as client:
            assert client.recv(100) == b"hello"
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                receive_all(client)
        assert server.end().status == 0


def test_it_listens_on_every_endpoint_and_says_so_as_json(app: Path) -> None:
    binds = ["--bind", FREE_PORT, "--bind", f"unix:{app / 'socket'}"]
    with running("serve", "app:service.method", *binds, "--json", cwd=app) as server:
        inet, unix = json.loads(server.hear("listening"))["addresses"]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(unix)
            assert receive_all(client) == b"method"
        with connect(int(inet.rpartition(":")[2])) as client:
            assert receive_all(client) == b"method"
        server.process.send_signal(signal.SIGTERM)
        *_, last = server.end().errors.splitlines()
    assert json.loads(last) == {"event": "closed", "accepted": 2, "handler_errors": 0, "aborted": 0}


def test_more_than_the_most_connections_wait(app: Path) -> None:
    with running("serve", "app:echo", "--bind", FREE_PORT, "--max-connections", "1", cwd=app) as server:
        port = server.port()
        with connect(port) as first, connect(port) as second:
            first.sendall(b"one")
            second.sendall(b"two")
            assert first.recv(100) == b"one"
            second.settimeout(0.1)
            with pytest.raises(TimeoutError):
                second.recv(100)
            first.close()
            second.settimeout(PATIENCE)
            assert second.recv(100) == b"two"


@pytest.mark.parametrize(("level", "logged"), [("info", True), ("critical", False)])
def test_the_log_level_decides_whether_a_failing_handler_is_logged(app: Path, level: str, *, logged: bool) -> None:
    with running("serve", "app:fails", "--bind", FREE_PORT, "--log-level", level, cwd=app) as server:
        port = server.port()
        with pytest.raises(ConnectionResetError), connect(port) as client:  # connecting may find it reset already
            receive_all(client)
        server.process.send_signal(signal.SIGTERM)
        errors = server.end().errors
    assert ("LookupError: no such thing" in errors) == logged
    assert "1 handler failed" in errors


def test_what_is_called_like_a_handler_is_one(app: Path) -> None:
    with running("serve", "app:service", "--bind", FREE_PORT, cwd=app) as server, connect(server.port()) as client:
        assert receive_all(client) == b"call"


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("nowhere:handle", "no module 'nowhere' here"),
        ("app.nowhere:handle", "no module 'app.nowhere' here"),
        ("app.py:handle", "name the module, not its file"),
        ("app", "expected module:handler"),
        ("app:nothing", "app has no 'nothing'; it has echo, fails, partial, service, stubborn, waits"),
        ("app:plain", "app:plain is a function without async"),
        ("app:of_two", "missing a required argument: 'other'"),
        ("app:Service", "app:Service is a class"),
        ("app:number", "app:number is of type int"),
    ],
)
def test_what_cannot_be_served_is_said(app: Path, handler: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app)
    monkeypatch.setattr("sys.path", sys.path[:])
    monkeypatch.delitem(sys.modules, "app", raising=False)
    with pytest.raises(HandlerError, match=re.escape(said)):
        import_handler(handler)


def test_what_cannot_be_served_is_status_2(app: Path) -> None:
    done = aionet("serve", "app:plain", cwd=app)
    assert done.status == 2
    assert "app:plain is a function without async; expected an async function that takes a stream" in done.errors
    assert "Traceback" not in done.errors


def test_what_a_module_itself_raises_is_shown_as_it_is(app: Path) -> None:
    done = aionet("serve", "broken:handle", cwd=app)
    assert done.status == 1
    assert "broken.py" in done.errors
    assert "No module named 'no_such_library'" in done.errors


def test_an_address_in_use_is_one_line_and_status_1(app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = aionet("serve", "app:echo", "--bind", f"tcp://127.0.0.1:{taken.getsockname()[1]}", cwd=app)
    assert done.status == 1
    assert "Address already in use" in done.errors
    assert len(done.errors.splitlines()) == 1
