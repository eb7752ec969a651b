"""An NTP server for simple clients (RFC 5905, RFC 4330): it tells them the time of this machine.

    python examples/ntp_server.py --port 123
    ntpdig 127.0.0.1

Clients ask port 123, which takes root, or CAP_NET_BIND_SERVICE. When a request arrived is what the kernel says, not
what the clock says once Python looks at it; the answer leaves from the address that was asked. It is as long as the
request, so it amplifies nothing, and it may go to port 123, from which other servers ask.
"""

import argparse
import contextlib
import struct
import time

import aionet

# Leap, version and mode; stratum, poll, precision; root delay, root dispersion, reference; four time stamps.
PACKET = struct.Struct("!BBbbII4sQQQQ")
CLIENT, SERVER = 3, 4
VERSIONS = range(1, 5)
LOCAL_CLOCK = 10  # stratum: a machine that asks nobody; 1 would be an atomic clock's
PRECISION = -20  # a microsecond, as a power of two
DISPERSION = 1 << 16  # a second, in units of 2**-16
SINCE_1900 = 2_208_988_800  # seconds until 1970
NANOSECONDS = 10**9


def ntp_time(nanoseconds: int) -> int:
    """The time since the epoch as NTP has it: seconds since 1900 and 32 bits of fraction; 2036 begins at 0 again."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return ((seconds + SINCE_1900) << 32 | (rest << 32) // NANOSECONDS) & 0xFFFF_FFFF_FFFF_FFFF


def answer(request: bytes, received_at: int) -> bytes | None:
    """Answer a client, as far as the time at which the answer leaves. None: it is no request."""
    if len(request) < PACKET.size:
        return None
    first, _, poll, *_, transmitted = PACKET.unpack_from(request)
    version, mode = first >> 3 & 7, first & 7
    if mode != CLIENT or version not in VERSIONS:
        return None
    received = ntp_time(received_at)
    head = (version << 3 | SERVER, LOCAL_CLOCK, poll, PRECISION, 0, DISPERSION, b"LOCL")
    return PACKET.pack(*head, received, transmitted, received, ntp_time(time.time_ns()))


async def main(endpoint: aionet.Endpoint) -> None:
    """Answer until Ctrl-C."""
    options = aionet.DatagramOptions(timestamps=True, pktinfo=True)
    async with aionet.bind_datagram(endpoint, options=options) as clients:
        print("listening on", clients.local, flush=True)
        async for request in clients:
            reply = answer(request.data, request.timestamp or time.time_ns())
            if reply is not None:
                with contextlib.suppress(aionet.DatagramError):  # there is no way back to this client
                    await clients.sendto(reply, request.peer, local=request.local)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An NTP server for simple clients.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to receive at (default: %(default)s)")
    parser.add_argument("--port", default=123, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        aionet.run(main(aionet.Endpoint("udp", args.host, args.port)), loop=args.loop)
