"""Find services on the local network: whoever looks for them asks a multicast group, and each of them answers.

    python examples/discovery.py announce "printer upstairs" --port 5454
    python examples/discovery.py find --port 5454

--host is the address of an interface (default: the one of loopback), --group the group. 239.255.0.0/16 (RFC 2365) and
ff05::/16 (RFC 4291) are for everybody's use within a site, and one hop does not leave the network.
"""

import argparse
import asyncio
import json
import time
from contextlib import suppress

import aionet

FIND, HERE = "find", "here"  # the two messages
GROUPS = {"IPv4": "239.255.54.54", "IPv6": "ff05::5454"}
ASK_EVERY = 0.5  # seconds: a datagram may be lost


def build(what: str, name: str = "") -> bytes:
    """Make a message."""
    return json.dumps({"discovery": what, "name": name}).encode()


def parse(data: bytes) -> tuple[str, str]:
    """What a message is, and the name in it; nothing of both if it is none."""
    try:
        message = json.loads(data)
        return str(message["discovery"]), str(message["name"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", ""


def options(host: str) -> aionet.DatagramOptions:
    """One hop, through that interface, and back to this machine, too; several may announce themselves on it."""
    return aionet.DatagramOptions(
        reuse_address=True, multicast_interface=aionet.InetAddress(host, 0), multicast_ttl=1, multicast_loopback=True
    )


async def announce(name: str, group: aionet.InetAddress, host: str) -> None:
    """Answer whoever looks for services."""
    async with aionet.bind_datagram(group, options=options(host)) as endpoint:
        endpoint.join_group(group, interface=aionet.InetAddress(host, 0))
        print("listening on", group, flush=True)
        async for datagram in endpoint:
            if parse(datagram.data)[0] == FIND:
                await endpoint.sendto(build(HERE, name), datagram.peer)


async def find(group: aionet.InetAddress, host: str, seconds: float) -> None:
    """Ask, and print who answers, until the time is over."""
    found = set()
    end = time.monotonic() + seconds
    async with aionet.bind_datagram((host, 0), options=options(host)) as endpoint:
        while (left := end - time.monotonic()) > 0:
            await endpoint.sendto(build(FIND), group)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, ASK_EVERY)):
                    async for datagram in endpoint:
                        what, name = parse(datagram.data)
                        if what == HERE and (name, datagram.peer) not in found:
                            found.add((name, datagram.peer))
                            print(name, "at", datagram.peer, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find services on the local network.")
    parser.add_argument("role", choices=("announce", "find"))
    parser.add_argument("name", nargs="?", default="a service", help="of what is announced")
    parser.add_argument("--host", default="127.0.0.1", help="an address of the interface (default: %(default)s)")
    parser.add_argument("--port", default=5454, type=int, help="of the group (default: %(default)s)")
    parser.add_argument("--group", help=f"(default: {' or '.join(GROUPS.values())})")
    parser.add_argument("--seconds", default=2.0, type=float, help="how long to look (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    where = aionet.InetAddress(args.group or GROUPS["IPv6" if ":" in args.host else "IPv4"], args.port)
    role = announce(args.name, where, args.host) if args.role == "announce" else find(where, args.host, args.seconds)
    with suppress(KeyboardInterrupt):
        aionet.run(role, loop=args.loop)
