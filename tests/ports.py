"""Ports for programs that have to be told one."""

import random
import socket
from pathlib import Path

# Below those that the system gives to connections and to port 0: another test's could take one of those in the
# moment between here and the program's own bind.
_FIRST = 10_000


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, and that the system gives to nobody unasked."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        with socket.socket() as sock:
            port = random.SystemRandom().randrange(_FIRST, ephemeral)  # tests may seed the other one
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
