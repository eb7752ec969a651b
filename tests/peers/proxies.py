"""haproxy and nginx in front of a server, and certificates for the first, made by openssl."""

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import PATIENCE, run
from tests.tools import require_tool

_HAPROXY = """
global
    log stderr local0 err
    stats socket {folder}/stats mode 600 level user
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode tcp
    timeout connect 10s
    timeout client 20s
    timeout server 20s
listen proxy
    bind fd@{fd} {bind}
    server target {target} {server}
"""

_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
load_module {modules}/ngx_stream_module.so;
events {{ worker_connections 64; }}
stream {{
    server {{
        listen 127.0.0.1:{port} {listen};
        proxy_pass {target};
        proxy_protocol on;
    }}
}}
"""
_NGINX_MODULES = Path("/usr/lib/nginx/modules")


@contextmanager
def _running(command: list[str], inherits: list[socket.socket]) -> Iterator[subprocess.Popen[bytes]]:
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(command, pass_fds=[sock.fileno() for sock in inherits], stderr=stderr) as process,
    ):
        try:
            yield process
            if process.poll() is not None:
                stderr.seek(0)
                raise AssertionError(stderr.read())
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextmanager
def haproxy(folder: Path, target: str, *, bind: str = "", server: str = "") -> Iterator[tuple[str, int]]:
    """Run haproxy until the block ends, with these words for its two lines, and give its address."""
    program = require_tool("haproxy")
    sock = socket.create_server(("127.0.0.1", 0))
    address: tuple[str, int] = sock.getsockname()
    config = folder / "haproxy.cfg"
    config.write_text(_HAPROXY.format(folder=folder, fd=sock.fileno(), bind=bind, target=target, server=server))
    # Who connects waits in the backlog until haproxy has started; and if it fails, in no backlog of ours.
    with _running([program, "-db", "-f", str(config)], [sock]):
        sock.close()
        yield address


def haproxy_says_its_target_is(folder: Path) -> str:
    """Return what haproxy's health checks have found."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.settimeout(PATIENCE)
        stats.connect(str(folder / "stats"))
        stats.sendall(b"show stat json\n")
        said = json.loads(b"".join(iter(lambda: stats.recv(65536), b"")))
    for entry in said:
        fields = {field["field"]["name"]: field["value"]["value"] for field in entry}
        if fields["svname"] == "target":
            return f"{fields['status']} {fields.get('check_status', '')}"
    raise AssertionError(said)


@contextmanager
def nginx(folder: Path, target: str, *, listen: str = "") -> Iterator[tuple[str, int]]:
    """Run nginx until the block ends, and give its address."""
    program = require_tool("nginx")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address: tuple[str, int] = sock.getsockname()
    config, pid = folder / "nginx.conf", folder / "nginx.pid"
    config.write_text(
        _NGINX.format(folder=folder, modules=_NGINX_MODULES, port=address[1], target=target, listen=listen)
    )
    command = [program, "-e", str(folder / "error.log"), "-c", str(config), "-p", str(folder)]
    with _running(command, []) as process:
        while not pid.exists():  # it listens by then
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.005)
        yield address


def certificate(folder: Path, name: str) -> Path:
    """Make a self-signed certificate for a name; the file holds it and its key."""
    openssl = require_tool("openssl")
    key, cert, both = folder / f"{name}.key", folder / f"{name}.crt", folder / f"{name}.pem"
    run(
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}",
    )  # fmt: skip
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both
