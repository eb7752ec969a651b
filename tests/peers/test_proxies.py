"""haproxy and nginx in front of the echo server, and behind an aionet client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from aionet import InetAddress, ProxyHeader, ProxyProtocol, ProxyTLV, ProxyTLVType
from tests.peers.proxies import certificate, haproxy, haproxy_says_its_target_is, nginx
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@attrs.define
class Echo:
    """An echo server behind a proxy, and the streams that it has served."""

    server: aionet.Server
    streams: list[aionet.Stream] = attrs.field(factory=list)

    @property
    def address(self) -> str:
        return str(self.server.addresses[0])


@asynccontextmanager
async def echoing(mode: Any, endpoint: str = "tcp://127.0.0.1:0") -> AsyncGenerator[Echo]:
    async def echo(stream: aionet.Stream) -> None:
        served.streams.append(stream)
        async for data in stream:
            await stream.send(data)

    proxy = ProxyProtocol(mode=mode, trusted=["127.0.0.1", "unix:"])
    async with aionet.serve(endpoint, echo, proxy=proxy) as server:
        served = Echo(server)
        yield served
        assert server.statistics().refused_headers == 0


async def exchange(proxy: tuple[str, int], **options: Any) -> InetAddress:
    """Have something echoed through a proxy; return the address that it was asked from."""
    async with aionet.connect(proxy, **options) as client:
        local = client.local
        await client.send(b"hello")
        assert await client.recv_exactly(5) == b"hello"
        await client.send_eof()
        assert await client.recv() == b""
    assert isinstance(local, InetAddress)
    return local


@pytest.mark.parametrize(("words", "version"), [("send-proxy", 1), ("send-proxy-v2", 2)])
@pytest.mark.parametrize("mode", ["exact", "either"])
async def test_haproxy_names_its_client(words: str, version: int, mode: str, tmp_path: Path) -> None:
    async with echoing(f"v{version}" if mode == "exact" else mode) as echo:
        with haproxy(tmp_path, echo.address, server=words) as proxy:
            client = await exchange(proxy)
            (stream,) = echo.streams
            assert stream.peer == client
            assert stream.proxy == ProxyHeader(version=version, source=client, destination=InetAddress(*proxy))


async def test_haproxy_reaches_a_unix_socket_and_names_its_client(tmp_path: Path) -> None:
    async with echoing("v2", f"unix:{tmp_path}/echo") as echo:
        with haproxy(tmp_path, f"unix@{tmp_path}/echo", server="send-proxy-v2") as proxy:
            client = await exchange(proxy)
            assert echo.streams[0].peer == client


async def test_haproxy_says_more_than_addresses(tmp_path: Path) -> None:
    async with echoing("v2") as echo:
        words = "send-proxy-v2 proxy-v2-options crc32c,unique-id"
        with haproxy(tmp_path, echo.address, bind="\n    unique-id-format %Ts-%pid", server=words) as proxy:
            await exchange(proxy)
        (stream,) = echo.streams
        assert stream.proxy is not None
        assert ProxyTLVType.CRC32C in [tlv.type for tlv in stream.proxy.tlvs]
        assert stream.proxy.unique_id


async def test_haproxy_says_who_has_shown_a_certificate(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "example.org"), certificate(tmp_path, "client.example")
    bind = f"ssl crt {server} ca-file {client} verify optional alpn h2,http/1.1"
    words = "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-key,cert-sig,authority,crc32c"
    context = ssl.create_default_context(cafile=str(server))
    context.load_cert_chain(client)
    context.set_alpn_protocols(["h2"])
    async with echoing("v2") as echo:
        with haproxy(tmp_path, echo.address, bind=bind, server=words) as proxy:
            reader, writer = await asyncio.open_connection(*proxy, ssl=context, server_hostname="example.org")
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
        (stream,) = echo.streams
        assert stream.proxy is not None
        assert (stream.proxy.alpn, stream.proxy.authority) == (b"h2", "example.org")
        tls = stream.proxy.ssl
        assert tls is not None
        assert (tls.over_tls, tls.verified, tls.common_name, tls.version) == (True, True, "client.example", "TLSv1.3")
        assert tls.cipher
        assert tls.cipher.startswith("TLS_")
        assert tls.key_algorithm == "EC256"
        assert tls.signature_algorithm == "ecdsa-with-SHA256"


@pytest.mark.parametrize(
    ("words", "local"), [("send-proxy-v2 check-send-proxy", True), ("check-send-proxy send-proxy", False)]
)
async def test_haproxy_finds_the_server_in_good_health(words: str, local: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a value of the table
    async with echoing("either") as echo:
        with haproxy(tmp_path, echo.address, server=f"{words} check-send-proxy check inter 50ms") as proxy:
            await until(lambda: len(echo.streams) > 1)
            for check in echo.streams:
                assert check.proxy is not None
                assert check.proxy.local is local
                if local:
                    assert isinstance(check.peer, InetAddress)
                    assert check.peer.host == "127.0.0.1"
            assert haproxy_says_its_target_is(tmp_path) in {"UP L4OK", "UP * L4OK"}  # the star: it looks again now
            client = await exchange(proxy)
            assert client in [stream.peer for stream in echo.streams]


async def test_nginx_names_its_client(tmp_path: Path) -> None:
    async with echoing("v1") as echo:
        with nginx(tmp_path, echo.address) as proxy:
            client = await exchange(proxy)
            (stream,) = echo.streams
            assert stream.proxy == ProxyHeader(version=1, source=client, destination=InetAddress(*proxy))


CLIENTS = [
    ProxyHeader(source=InetAddress("192.0.2.1", 56324), destination=InetAddress("192.0.2.11", 443)),
    ProxyHeader(source=InetAddress("2001:db8::1", 56324), destination=InetAddress("2001:db8::2", 443)),
    ProxyHeader(version=1, source=InetAddress("192.0.2.1", 56324), destination=InetAddress("192.0.2.11", 443)),
    ProxyHeader(version=1, source=InetAddress("2001:db8::1", 1), destination=InetAddress("2001:db8::2", 65535)),
    ProxyHeader(
        source=InetAddress("192.0.2.1", 1),
        destination=InetAddress("192.0.2.11", 2),
        tlvs=(ProxyTLV(ProxyTLVType.CRC32C, b""), ProxyTLV(ProxyTLVType.UNIQUE_ID, b"id")),
    ),
]


@pytest.mark.parametrize("header", CLIENTS, ids=str)
async def test_haproxy_takes_our_header_and_passes_it_on(header: ProxyHeader, tmp_path: Path) -> None:
    async with echoing("v2") as echo:
        with haproxy(tmp_path, echo.address, bind="accept-proxy", server="send-proxy-v2") as proxy:
            await exchange(proxy, proxy_header=header)
            (stream,) = echo.streams
            assert stream.proxy is not None
            assert (stream.proxy.source, stream.proxy.destination) == (header.source, header.destination)


async def test_haproxy_refuses_a_checksum_that_is_wrong(tmp_path: Path) -> None:
    built = bytearray(aionet.build_proxy_header(CLIENTS[0], checksum=True))
    built[-1] ^= 1
    async with echoing("v2") as echo:
        with (
            haproxy(tmp_path, echo.address, bind="accept-proxy", server="send-proxy-v2") as proxy,
            socket.create_connection(proxy) as client,
        ):
            client.setblocking(False)
            client.send(built + b"hello")
            try:
                assert await asyncio.get_running_loop().sock_recv(client, 5) == b""
            except ConnectionResetError:
                pass
        assert not echo.streams


@pytest.mark.parametrize("header", CLIENTS, ids=str)
async def test_nginx_takes_our_header(header: ProxyHeader, tmp_path: Path) -> None:
    # It passes on its own client's address, unless the realip module is there, but it parses what comes.
    async with echoing("v1") as echo:
        with nginx(tmp_path, echo.address, listen="proxy_protocol") as proxy:
            client = await exchange(proxy, proxy_header=header)
            (stream,) = echo.streams
            assert stream.peer == client
