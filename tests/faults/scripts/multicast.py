"""Multicast and broadcast between two networks: ``... multicast LOOP``, under unshare --net.

A second network is made beside this one, joined by a veth pair, and vanishes with the process that holds it. Says what
arrived in it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

import aionet
from aionet import DatagramOptions, InetAddress
from tests.faults.running import say

PORT: Final = 5454
GROUPS: Final = (("239.1.2.3", "10.77.0.1", "0.0.0.0"), ("ff15::77", "fd77::1", "::"))
PATIENCE: Final = 10.0


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)  # noqa: S607 - the PATH's
    return done.stdout


async def is_up(interface: str) -> None:
    """Return when the kernel has seen both ends of the cable: until then it drops what is sent."""
    while " UP " not in ip("-brief", "link", "show", interface):  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.01)


async def connect_networks(other: int) -> None:
    """Join this network and that of the process ``other`` by a cable."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(other))
    for address in ("10.77.0.1/24", "10.77.0.11/24"):
        ip("addr", "add", address, "dev", "near")
    for address in ("fd77::1/64", "fd77::11/64"):
        ip("addr", "add", address, "dev", "near", "nodad")
    ip("link", "set", "near", "up")


async def send(group: str, source: str, other: str) -> None:
    """Send from two addresses of ours, the second of which nobody on the other side wants in the end."""
    wildcard = f"udp://[{source}]:0" if ":" in source else f"udp://{source}:0"
    elsewhere = f"udp://[{other}]:0" if ":" in other else f"udp://{other}:0"
    options = DatagramOptions(multicast_interface="near", multicast_ttl=3)
    async with (
        aionet.bind_datagram(elsewhere, options=options) as unwanted,
        aionet.bind_datagram(wildcard, options=options) as wanted,
    ):
        await unwanted.sendto(b"unwanted", InetAddress(group, PORT))
        await wanted.sendto(b"wanted", InetAddress(group, PORT))


async def near(loop: str) -> None:
    """Be the side that sends; the other side says when it is ready for the next."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.faults.scripts.multicast", loop, "far"]
    far = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert far.stdin is not None
    assert far.stdout is not None
    try:
        await far.stdout.readline()  # it is in its own network
        await connect_networks(far.pid)
        far.stdin.write(b"connected\n")
        while line := (await far.stdout.readline()).decode().split():
            await is_up("near")
            match line:
                case ["send", group]:
                    source = next(source for each, source, _ in GROUPS if each == group)
                    await send(group, source, f"{source}1")
                case ["broadcast"]:
                    options = DatagramOptions(broadcast=True)
                    async with aionet.bind_datagram("udp://10.77.0.1:0", options=options) as sender:
                        await sender.sendto(b"to all", ("10.77.0.255", PORT))
                case [*said]:
                    say(said)
    finally:
        if far.returncode is None:
            far.kill()
        await far.wait()


def tell(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def far() -> None:
    """Be the side that receives."""
    tell("here")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    ip("link", "set", "lo", "up")
    ip("addr", "add", "10.77.0.2/24", "dev", "far")
    ip("addr", "add", "fd77::2/64", "dev", "far", "nodad")
    ip("link", "set", "far", "up")
    await is_up("far")
    for group, source, wildcard in GROUPS:
        place = f"udp://[{wildcard}]:{PORT}" if ":" in wildcard else f"udp://{wildcard}:{PORT}"
        async with aionet.bind_datagram(place, options=DatagramOptions(pktinfo=True)) as endpoint:
            for keywords in ({"interface": "far"}, {"interface": "far", "source": source}):
                endpoint.join_group(group, **keywords)
                tell("send", group)
                got = []
                async with asyncio.timeout(PATIENCE):
                    while b"wanted" not in got:
                        got.append((await endpoint.recvfrom()).data)
                endpoint.leave_group(group, **keywords)
                tell(group, "from", str(keywords.get("source", "any")), *(data.decode() for data in got))
    async with aionet.bind_datagram(f"udp://0.0.0.0:{PORT}") as endpoint:
        tell("broadcast")
        async with asyncio.timeout(PATIENCE):
            tell("broadcast:", (await endpoint.recv()).decode())


if __name__ == "__main__":
    aionet.run(far() if sys.argv[2:] == ["far"] else near(sys.argv[1]), loop=sys.argv[1])
