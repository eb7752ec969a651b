"""A reset is reported as one, with both ends, even where the system no longer says who they were."""

import re
import socket
import struct

import pytest

import aionet

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset


async def test_a_reset_right_after_connecting_names_both_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        stream = await aionet.connect((host, port))
        accepted, (_, local_port) = listening.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        accepted.close()
        names = rf"recv on {re.escape(f'{host}:{local_port} <- {host}:{port}')}: reset by peer"
        with pytest.raises(aionet.StreamResetError, match=names):
            await stream.recv()
        assert stream.peer == aionet.InetAddress(host, port)
        await stream.aclose()
