"""curl and wrk against examples/http_hello.py."""

import re
from pathlib import Path

from tests.programs import Program, every_loop, run, running, shared_by_module
from tests.tools import require_tool

HELLO = b"Hello, world!\n"
# Clients that are done sometimes reset what they hold, and the server may say so.
RESETS = r"(connection from [^\n]*: (reset by peer|the peer no longer receives)\n)*"

server = shared_by_module("http_hello.py", complains=RESETS)


def url(server: Program) -> str:
    return f"http://{server.address}/"


def curl(*args: str, stdin: bytes = b"", status: int = 0) -> bytes:
    return run(require_tool("curl"), "-sS", "--noproxy", "*", "--max-time", "15", *args, stdin=stdin, status=status)


def test_curl_asks_several_times_on_one_connection(server: Program) -> None:
    counted = curl("--write-out", "%{num_connects} %{http_code}\n", *[url(server)] * 5)
    assert counted == HELLO + b"1 200\n" + (HELLO + b"0 200\n") * 4


@every_loop
def test_curl_asks_over_ipv6(loop: str) -> None:
    with running("http_hello.py", "--host", "::1", loop=loop) as ipv6:
        assert curl(url(ipv6)) == HELLO


def test_curl_head_has_no_body_and_the_length_that_get_would_have(server: Program) -> None:
    head = curl("--head", url(server)).splitlines()
    assert head[0] == b"HTTP/1.1 200 OK"
    assert b"content-length: 14" in head
    assert head[-1] == b""


def test_curl_posts_a_large_body_after_being_told_to_continue(server: Program, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(20_000_000))
    assert curl("--data-binary", f"@{body}", "--header", "Expect: 100-continue", url(server)) == b"20000000 bytes\n"
    # No length known: chunks.
    assert curl("--upload-file", "-", "--request", "POST", url(server), stdin=bytes(3_000_000)) == b"3000000 bytes\n"


def test_curl_is_told_of_a_bad_request(server: Program) -> None:
    for bad in (["--header", "Host:"], ["--header", "Content-Length: x"], ["--request", "NO SUCH THING"]):
        code = curl("--output", "/dev/null", "--write-out", "%{http_code}", *bad, url(server))
        assert code == b"400", bad
    code = curl("--output", "/dev/null", "--write-out", "%{http_code}", "--request", "DELETE", url(server))
    assert code == b"405"


def test_curl_speaks_http_1_0(server: Program) -> None:
    assert curl("--http1.0", url(server), url(server)) == HELLO * 2


def test_wrk_gets_nothing_but_good_responses(server: Program) -> None:
    said = run(require_tool("wrk"), "-t1", "-c20", "-d1s", url(server)).decode()
    served = re.search(r"(\d+) requests in", said)
    assert served is not None, said
    assert int(served[1]) > 0
    assert "Non-2xx" not in said
    assert "Socket errors" not in said
