"""--host and --port of the examples that serve TCP: they listen there, and nowhere else."""

import ssl

import pytest

from tests.ports import free_port
from tests.programs import every_loop, running

# What a client says, and what the answer begins with.
SERVERS = {
    "echo.py": (b"hello", b"hello"),
    "http_hello.py": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200"),
    "json_rpc.py": (b'{"jsonrpc": "2.0", "id": 1, "method": "nothing"}\n', b'{"jsonrpc"'),
    "memcached_server.py": (b"version\r\n", b"VERSION"),
    "one_port.py": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200"),
    "resp_server.py": (b"PING\r\n", b"+PONG"),
    "smtp_starttls.py": (b"", b"220 "),
    "tls_echo.py": (b"hello", b"hello"),
}


@every_loop
@pytest.mark.parametrize("host", ["::1", "127.0.0.2"])
@pytest.mark.parametrize("example", SERVERS)
def test_a_server_listens_where_it_is_told_to(example: str, host: str, loop: str) -> None:
    said, answer = SERVERS[example]
    port = free_port()
    with running(example, "--host", host, loop=loop, port=port) as server:
        assert (server.host, server.port) == (host, port)
        client = server.connect()
        if example == "tls_echo.py":  # whose certificate is others' concern
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client = context.wrap_socket(client)
        with client:
            client.sendall(said)
            assert client.recv(4096).startswith(answer)
            if isinstance(client, ssl.SSLSocket):
                client.unwrap().close()  # or the server would complain
