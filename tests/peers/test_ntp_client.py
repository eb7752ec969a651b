"""ntpdig against examples/ntp_server.py, on its own port, in a network of its own."""

import json
import signal
import socket
import subprocess
import time

import pytest

import ntp_server
from tests.programs import PATIENCE, command, every_loop, running
from tests.tools import require_tool

REQUEST = bytes([4 << 3 | ntp_server.CLIENT]) + bytes(39) + b"\1\2\3\4\5\6\7\x08"
# The server and the client, in a network in which every port is free, and loopback has to be switched on.
BOTH = """
ip link set lo up
"$@" & server=$!
trap 'kill $server; wait $server' EXIT
until ntpdig -j -t 1 127.0.0.1; do [ $((tries += 1)) -lt 10 ] || exit 1; done
"""


@every_loop
def test_ntpdig_is_told_the_time(loop: str) -> None:
    require_tool("ntpdig")
    unshare = [require_tool("unshare"), "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network of its own is allowed here")
    server = command("ntp_server.py", "--port", "123", loop=loop)
    done = subprocess.run(
        [*unshare, "sh", "-c", BOTH, "sh", *server], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done
    (answer,) = answers
    assert answer["host"] == "127.0.0.1"
    assert answer["stratum"] == ntp_server.LOCAL_CLOCK
    assert abs(answer["offset"]) < 1  # one machine, one clock


@every_loop
def test_requests_are_answered_and_nothing_else_is(loop: str) -> None:
    with (
        running("ntp_server.py", loop=loop, ends_by=signal.SIGINT) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        client.connect((server.host, server.port))
        for nonsense in (b"", REQUEST[:47], bytes([4 << 3 | ntp_server.SERVER]) + REQUEST[1:], bytes(48)):
            client.send(nonsense)
        before = ntp_server.ntp_time(time.time_ns())
        client.send(REQUEST)
        reply = ntp_server.PACKET.unpack(client.recv(100))
        after = ntp_server.ntp_time(time.time_ns())
        originate, received, transmitted = reply[-3:]
        assert originate.to_bytes(8, "big") == REQUEST[40:48]
        assert before <= received <= transmitted <= after


def test_the_time_of_2036_is_that_of_a_new_era() -> None:
    assert ntp_server.ntp_time(0) == ntp_server.SINCE_1900 << 32
    assert ntp_server.ntp_time((2**32 - ntp_server.SINCE_1900) * ntp_server.NANOSECONDS) == 0
    assert ntp_server.ntp_time(500_000_000) & 0xFFFF_FFFF == 1 << 31
