"""Serve with fewer descriptors than there are clients: ``python -m tests.faults.scripts.few_descriptors LOOP HOARD``.

With HOARD "hoard", the process itself has used up all descriptors when the first client comes.
"""

import asyncio
import logging
import os
import resource
import signal
import sys

import aionet
from tests.faults.running import say

DESCRIPTORS = 64
RESTS = 3


class Lines(logging.Handler):
    """Counts the lines that are logged."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


async def answer(stream: aionet.Stream) -> None:
    await stream.send(await stream.recv_line())
    await stream.recv()  # until the client leaves: meanwhile it holds a descriptor


def hoard() -> list[int]:
    """Open files until there are no more descriptors."""
    files: list[int] = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return files


async def main(hoards: str) -> None:
    lines = Lines()
    logging.getLogger("aionet").addHandler(lines)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    loop = asyncio.get_running_loop()
    async with aionet.serve("tcp://127.0.0.1:0", answer, limits=aionet.Limits(max_connections=1000)) as server:
        files = hoard() if hoards == "hoard" else []

        def let_go() -> None:
            while files:
                os.close(files.pop())

        loop.add_signal_handler(signal.SIGUSR1, let_go)
        began = loop.time()
        say(server.addresses[0].sockaddr)
        while server.statistics().accept_rests < RESTS:
            await asyncio.sleep(0.01)
            if files:
                files.extend(hoard())  # what anybody else has given up meanwhile
        say("resting")
        await server.serve_forever()
        say({"rests": server.statistics().accept_rests, "lines": lines.count, "seconds": loop.time() - began})


if __name__ == "__main__":
    aionet.run(main(sys.argv[2]), loop=sys.argv[1])
