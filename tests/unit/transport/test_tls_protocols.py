"""create_connection, create_server and start_tls with TLS: a Protocol hears what it would hear from asyncio."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trustme

import aionet
from tests.certificates import CA, CLIENT, NAME, SERVER
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LARGE = bytes(range(256)) * 4000


class Recorder(asyncio.Protocol):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.data = b""
        self.transport: Any = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.heard.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool | None:
        self.heard.append("eof")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("lost")
        self.lost.set_result(exc)


class Echo(Recorder):
    """Writes back what it reads."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """The same, reading into a buffer that is smaller than a record."""

    def __init__(self) -> None:
        self.buffer = bytearray(1000)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context and a server's, made as users of asyncio make them."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert isinstance(SERVER.certificate, bytes)
    with trustme.Blob(SERVER.certificate).tempfile() as path:
        server.load_cert_chain(path)
    return ssl.create_default_context(cadata=CA.decode()), server


@pytest.fixture(params=["TLSConfig", "SSLContext"])
def both(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return (CLIENT, SERVER) if request.param == "TLSConfig" else contexts()


@pytest.fixture(params=[Echo, BufferedEcho])
async def port(request: pytest.FixtureRequest, both: tuple[Any, Any]) -> AsyncIterator[int]:
    async with await aionet.create_server(request.param, "127.0.0.1", 0, ssl=both[1]) as server:
        yield server.sockets[0].getsockname()[1]
        server.close_clients()


@pytest.mark.parametrize("create", [aionet.create_connection, None], ids=["aionet", "asyncio"])
async def test_both_sides_agree_with_each_other_and_with_asyncio(
    port: int, both: tuple[Any, Any], create: Callable[..., Any] | None
) -> None:
    create = create or asyncio.get_running_loop().create_connection
    context = contexts()[0] if create is not aionet.create_connection else both[0]
    transport, protocol = await create(Recorder, "127.0.0.1", port, ssl=context, server_hostname=NAME)
    assert transport.get_extra_info("ssl_object").server_hostname == NAME
    assert ("DNS", NAME) in transport.get_extra_info("peercert")["subjectAltName"]
    transport.write(LARGE)
    await until(lambda: len(protocol.data) == len(LARGE))
    assert protocol.data == LARGE
    transport.close()
    assert await protocol.lost is None
    # asyncio's own transport also says that the echo has ended.
    assert [word for word in protocol.heard if word != "eof"] == ["made", "lost"]


async def test_a_handshake_that_fails_raises_and_no_protocol_hears_of_it(port: int) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    with pytest.raises(aionet.TLSCertificateError):
        await aionet.create_connection(factory, "127.0.0.1", port, ssl=True)
    assert not made


async def test_a_silent_client_is_cut_off_and_the_server_can_be_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async with await aionet.create_server(Echo, "127.0.0.1", 0, ssl=SERVER, ssl_handshake_timeout=0.02) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
    assert "no TLS handshake within 0.02 s" in caplog.text
    assert [record.exc_info for record in caplog.records] == [None]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_peer_that_does_not_end_is_waited_for_no_longer_than_the_shutdown_timeout(side: str) -> None:
    """Zero seconds are no wait at all: with the timeout of every other close this would come after that one's end."""
    times: dict[str, Any] = {"ssl_shutdown_timeout": 0}
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server = await aionet.create_server(factory, "127.0.0.1", 0, ssl=SERVER, **(times if side == "server" else {}))
    async with server:
        client, protocol = await aionet.create_connection(
            Recorder,
            *server.sockets[0].getsockname(),
            ssl=CLIENT,
            server_hostname=NAME,
            **(times if side == "client" else {}),
        )
        await until(lambda: made)
        ours, theirs = (client, made[0].transport) if side == "client" else (made[0].transport, client)
        lost = protocol.lost if side == "client" else made[0].lost
        theirs.pause_reading()  # it does not see that we end, and so does not end
        ours.close()
        await turns()
        assert lost.done()
        theirs.abort()
        await (made[0].lost if side == "client" else protocol.lost)


async def test_a_server_that_closes_gives_up_handshakes() -> None:
    server = await aionet.create_server(Echo, "127.0.0.1", 0, ssl=SERVER)
    _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await until(lambda: server._handshakes)
    server.close()
    await server.wait_closed()
    writer.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"server_hostname": "x"}, "server_hostname='x': expected only with ssl"),
        ({"ssl_handshake_timeout": 1.0}, "ssl_handshake_timeout=1.0: expected only with ssl"),
        ({"ssl_shutdown_timeout": 1.0}, "ssl_shutdown_timeout=1.0: expected only with ssl"),
        ({"ssl": True, "ssl_handshake_timeout": 0}, "ssl_handshake_timeout=0: expected seconds, more than 0"),
        ({"ssl": True, "ssl_shutdown_timeout": -1.0}, "ssl_shutdown_timeout=-1.0: expected seconds, 0 or more"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        await aionet.create_connection(Recorder, "127.0.0.1", 1, **arguments)


# --- start_tls --------------------------------------------------------------------------------------------------------


class Upgrading(Recorder):
    """A server that goes on through TLS when it is asked to."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if data == b"STARTTLS":
            self.transport.write(b"ready")
            self.upgrade = asyncio.create_task(self._upgrade())

    async def _upgrade(self) -> None:
        self.transport = await aionet.start_tls(self.transport, self, SERVER, server_side=True)
        self.transport.write(b"secret")


async def test_a_protocol_goes_on_through_tls() -> None:
    servers: list[Upgrading] = []

    def factory() -> Upgrading:
        servers.append(Upgrading())
        return servers[-1]

    async with await aionet.create_server(factory, "127.0.0.1", 0) as server:
        transport, protocol = await aionet.create_connection(Recorder, *server.sockets[0].getsockname())
        transport.write(b"STARTTLS")
        await until(lambda: protocol.data == b"ready")
        secure = await aionet.start_tls(transport, protocol, CLIENT, server_hostname=NAME)
        assert transport.is_closing()
        await until(lambda: protocol.data == b"readysecret")
        assert secure.get_extra_info("cipher") is not None
        secure.write(b"over")
        await until(lambda: servers[0].data == b"STARTTLSover")
        secure.close()
        assert await protocol.lost is None
        assert await servers[0].lost is None
        assert protocol.heard == ["made", "lost"]
        assert servers[0].heard == ["made", "eof", "lost"]


class Slow(Upgrading):
    """Has more to say in the clear than the kernel takes."""

    def data_received(self, data: bytes) -> None:
        if data == b"STARTTLS":
            self.transport.write(bytes(8 * 1024 * 1024))
        super().data_received(data)


async def test_plain_bytes_that_come_while_the_last_plain_ones_leave_are_no_handshake() -> None:
    servers: list[Slow] = []

    def factory() -> Slow:
        servers.append(Slow())
        return servers[-1]

    async with await aionet.create_server(factory, "127.0.0.1", 0) as server:
        transport, protocol = await aionet.create_connection(Recorder, *server.sockets[0].getsockname())
        transport.pause_reading()
        transport.write(b"STARTTLS")
        await until(lambda: servers and servers[0].data)
        await turns()
        assert servers[0].transport.get_write_buffer_size()
        transport.write(b"DELE 1")
        await turns()
        transport.resume_reading()
        with pytest.raises(aionet.TLSHandshakeError, match="wrong version number"):
            await servers[0].upgrade
        assert isinstance(await servers[0].lost, aionet.TLSHandshakeError)
        assert servers[0].data == b"STARTTLS"
        transport.abort()
        await protocol.lost


async def test_a_handshake_that_fails_tells_the_protocol_too() -> None:
    async with await aionet.create_server(Echo, "127.0.0.1", 0) as server:
        transport, protocol = await aionet.create_connection(Recorder, *server.sockets[0].getsockname())
        with pytest.raises(aionet.TLSHandshakeError):  # the echo of a ClientHello is no ServerHello
            await aionet.start_tls(transport, protocol, CLIENT, server_hostname=NAME)
        assert isinstance(await protocol.lost, aionet.TLSHandshakeError)


async def test_a_peer_that_is_gone_before_the_handshake_ends_the_connection() -> None:
    servers: list[Upgrading] = []

    def factory() -> Upgrading:
        servers.append(Upgrading())
        return servers[-1]

    server = await aionet.create_server(factory, "127.0.0.1", 0)
    for number in range(1, 21):
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.sendall(b"STARTTLS")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda number=number: len(servers) == number)  # type: ignore[misc]
        with pytest.raises((aionet.TLSHandshakeError, aionet.BrokenStreamError, aionet.ClosedStreamError)):
            await until_upgraded(servers[-1])
        assert isinstance(await servers[-1].lost, OSError)
    server.close()
    await server.wait_closed()


async def until_upgraded(server: Upgrading) -> None:
    await until(lambda: hasattr(server, "upgrade"))
    await server.upgrade


@pytest.mark.parametrize("inside", [False, True])
async def test_a_name_that_cannot_be_one_ends_the_connection(inside: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    async with await aionet.create_server(Echo, "127.0.0.1", 0, ssl=SERVER if inside else None) as server:
        transport, protocol = await aionet.create_connection(
            Recorder,
            *server.sockets[0].getsockname(),
            ssl=CLIENT if inside else None,
            server_hostname=NAME if inside else None,
        )
        with pytest.raises(aionet.TLSHandshakeError, match="idna"):
            await aionet.start_tls(transport, protocol, CLIENT, server_hostname=".bad")
        assert isinstance(await protocol.lost, aionet.TLSHandshakeError)
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("cancel", asyncio.CancelledError),
        ("close", aionet.ClosedStreamError),
        ("write_eof", aionet.ClosedStreamError),
        ("abort", aionet.ClosedStreamError),
        ("reset", aionet.BrokenStreamError),
    ],
)
async def test_an_end_while_the_last_plain_bytes_leave_is_the_end_of_it(how: str, error: type[BaseException]) -> None:
    servers: list[Recorder] = []

    def factory() -> Recorder:
        servers.append(Recorder())
        return servers[-1]

    async with await aionet.create_server(factory, "127.0.0.1", 0) as server:
        transport, protocol = await aionet.create_connection(Recorder, *server.sockets[0].getsockname())
        await until(lambda: servers and servers[0].transport)
        theirs = servers[0].transport
        theirs.pause_reading()
        transport.write(LARGE * 20)
        starting = asyncio.create_task(aionet.start_tls(transport, protocol, CLIENT, server_hostname=NAME))
        await turns()
        if how == "cancel":
            starting.cancel()
        elif how == "reset":
            theirs.abort()
        else:
            getattr(transport, how)()
        theirs.resume_reading()
        with pytest.raises(error):
            await starting
        if how == "write_eof":
            assert not transport.is_closing()
            theirs.write(b"seen")
            await until(lambda: protocol.data == b"seen")
            transport.close()
        lost = await protocol.lost
        assert isinstance(lost, ConnectionResetError) if how == "reset" else lost is None
        if how in ("close", "write_eof"):
            assert servers[0].data == LARGE * 20
