"""Echo over TCP Fast Open, in a network of its own where it is switched on: ``... fast_open LOOP``, under unshare -n.

Says the replies, and how many of the connections sent their data with the SYN.
"""

import fcntl
import socket
import struct
import sys
from pathlib import Path

import aionet
from tests.faults.running import say

_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x41
_FAST_OPENS = "TCPFastOpenPassive"


def switch_on() -> None:
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")


def count() -> int:
    """Return how many connections the system has taken with data in their SYN."""
    names, values = (
        line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt")
    )
    return int(values[names.index(_FAST_OPENS)])


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def main() -> None:
    options = aionet.SocketOptions(fast_open=True)
    replies = []
    async with aionet.serve("tcp://127.0.0.1:0", echo, options=options) as server:
        assert not server.refused_options
        for _ in range(3):
            async with aionet.connect(server.addresses[0], options=options) as stream:
                await stream.send(b"hello")
                replies.append((await stream.recv_exactly(5)).decode())
    say([replies, count()])


if __name__ == "__main__":
    switch_on()
    aionet.run(main(), loop=sys.argv[1])
