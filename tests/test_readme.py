"""What the README shows, run as it stands there."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def example(name: str, port: int) -> str:
    """The code below the marker with that name, with a port that is free."""
    block = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return block[1].replace("8000", str(port))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_the_client_gets_its_line_back_and_ctrl_c_ends_the_server() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", example("server", port)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == f"127.0.0.1:{port}\n"
            client = [sys.executable, "-c", example("client", port)]
            assert subprocess.run(client, capture_output=True, text=True, check=True).stdout == "b'hello\\n'\n"
            server.send_signal(signal.SIGINT)
            assert server.wait() == 0
        finally:
            server.kill()
