"""examples/tls_echo.py gives back what it gets through TLS, and renews its certificate under its connections."""

import asyncio
import signal
import socket
import ssl
from pathlib import Path

from tests.programs import PATIENCE, Program, every_loop, running


def connect(server: Program, ca: Path, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    context = context or ssl.create_default_context(cafile=str(ca))
    sock = socket.create_connection((server.host, server.port), timeout=PATIENCE)
    return context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


@every_loop
def test_everything_comes_back_and_the_end_after_it(loop: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    message = bytes(range(256)) * 100
    with running("tls_echo.py", "--ca", str(ca), loop=loop) as server, connect(server, ca) as client:
        client.sendall(message)
        received = b""
        while len(received) < len(message):
            received += client.recv(65536)
        assert received == message
        client.unwrap().close()  # returns when the server's close_notify has come


@every_loop
def test_a_new_certificate_is_for_new_connections(loop: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    with running("tls_echo.py", "--ca", str(ca), loop=loop) as server, connect(server, ca) as old:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "renewed\n"
        with connect(server, ca) as new:
            assert new.getpeercert(binary_form=True) != old.getpeercert(binary_form=True)
            for client in (old, new):
                client.sendall(b"hello")
                assert client.recv(100) == b"hello"
                client.unwrap().close()


@every_loop
def test_a_stock_asyncio_client_is_served(loop: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"

    async def talk(server: Program) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["echo"])
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "echo"
        writer.write(bytes(200_000))
        assert await reader.readexactly(200_000) == bytes(200_000)
        writer.close()
        await writer.wait_closed()

    with running("tls_echo.py", "--ca", str(ca), "--alpn", "echo", loop=loop) as server:
        asyncio.run(talk(server))
