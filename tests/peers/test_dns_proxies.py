"""dnsdist in front of datagram servers, and kdig, which says what a proxy would."""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dnslib import QTYPE, RR, TXT, DNSQuestion, DNSRecord

import aionet
from aionet import ProxyProtocol
from tests.ports import free_port
from tests.programs import PATIENCE, every_loop, run, running
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = Path(__file__).parent.parent / "examples" / "zones" / "example.org"

# It does not ask its makers whether it is secure, and gives a server on a busy machine more than a second or two.
_CONFIG = """
setSecurityPollSuffix("")
setLocal("127.0.0.1:{port}")
setUDPTimeout(15)
newServer({{address="127.0.0.1:{target}", useProxyProtocol=true, checkTimeout=15000, maxCheckFailures=20}})
"""


@contextmanager
def dnsdist(folder: Path, target: int) -> Iterator[int]:
    """Run dnsdist in front of a port, once that answers its health checks, until the block ends; give its own port."""
    program = require_tool("dnsdist")
    port, config, said = free_port(), folder / "dnsdist.conf", folder / "dnsdist.log"
    config.write_text(_CONFIG.format(port=port, target=target))
    command = [program, "--supervised", "--disable-syslog", "-C", str(config)]
    with (
        said.open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            while f"127.0.0.1:{target} as 'up'" not in said.read_text():
                assert process.poll() is None, said.read_text()
                time.sleep(0.005)
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)


def answers(program: str, port: int, *words: str) -> list[str]:
    """Ask for an address; return the answers."""
    place = ["-p", str(port), "@127.0.0.1", "+short", "+tries=1" if program == "dig" else "+retry=0", "+time=15"]
    return run(require_tool(program), *place, *words, "www.example.org", "A").decode().split()


async def tell(session: aionet.DatagramSession) -> None:
    """Answer each question with the client's address."""
    session.validate()  # the answers are as large as the questions, but for some bytes
    async for data in session:
        reply = DNSRecord.parse(data).reply()
        reply.add_answer(RR("client.example.org", QTYPE.TXT, rdata=TXT(str(session.peer)), ttl=0))
        await session.send(reply.pack())


async def test_dnsdist_names_each_client_from_sockets_that_they_share(tmp_path: Path) -> None:
    proxy = ProxyProtocol(mode="v2", trusted=["127.0.0.1"])
    async with aionet.serve_datagram("udp://127.0.0.1:0", tell, proxy=proxy) as server, AsyncExitStack() as stack:
        (address,) = server.addresses
        assert isinstance(address, aionet.InetAddress)
        processes = stack.enter_context(ExitStack())
        port = await asyncio.to_thread(processes.enter_context, dnsdist(tmp_path, address.port))
        clients = [
            await stack.enter_async_context(aionet.connect_datagram(f"udp://127.0.0.1:{port}")) for _ in range(5)
        ]
        for _ in range(2):
            for client in clients:
                await client.send(DNSRecord(q=DNSQuestion("client.example.org", QTYPE.TXT)).pack())
            for client in clients:
                reply = DNSRecord.parse(await client.recv())
                assert [str(record.rdata) for record in reply.rr] == [f'"{client.local}"']
        named = [session for session in server.sessions if session.proxy and not session.proxy.local]
        assert {session.peer for session in named} == {client.local for client in clients}
        assert len({session.get_extra_info("peername") for session in named}) == 1
        assert any(session.proxy and session.proxy.local for session in server.sessions)  # the health checks
        assert server.endpoint.statistics().refused_headers == 0


@every_loop
def test_the_dns_server_behind_dnsdist_over_udp_and_tcp(loop: str, tmp_path: Path) -> None:
    with (
        running("dns_server.py", str(ZONE), "--accept-proxy", "127.0.0.1", loop=loop) as server,
        dnsdist(tmp_path, server.port) as port,
    ):
        assert answers("dig", port, "+notcp") == ["192.0.2.80"]
        assert answers("dig", port, "+tcp") == ["192.0.2.80"]


@every_loop
def test_kdig_brings_headers_of_its_own(loop: str) -> None:
    header = "+proxy=192.0.2.1#4000-192.0.2.2#53"
    with running("dns_server.py", str(ZONE), "--accept-proxy", "127.0.0.0/8", loop=loop) as server:
        assert answers("kdig", server.port, "+notcp", header) == ["192.0.2.80"]
        assert answers("kdig", server.port, "+tcp", header) == ["192.0.2.80"]


@every_loop
def test_kdig_without_a_header_gets_no_answer(loop: str) -> None:
    complains = r"datagram refused: PROXY header on [\d.:]+ <- [\d.:]+: not a PROXY header[^\n]*\n"
    accepts = ("--accept-proxy", "127.0.0.1")
    with running("dns_server.py", str(ZONE), *accepts, loop=loop, complains=complains) as server:
        asked = ["-p", str(server.port), "@127.0.0.1", "+notcp", "+retry=0", "+time=1", "www.example.org"]
        done = subprocess.run([require_tool("kdig"), *asked], capture_output=True, timeout=PATIENCE, check=False)
        assert b"response timeout" in done.stdout + done.stderr
