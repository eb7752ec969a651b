"""dig and dnsperf against examples/dns_server.py."""

import re
from pathlib import Path

import pytest

from tests.programs import Program, every_loop, run, running, shared_by_module
from tests.tools import require_tool

ZONE = Path(__file__).parent.parent / "examples" / "zones" / "example.org"

server = shared_by_module("dns_server.py", str(ZONE))


def dig(server: Program, *question: str) -> str:
    """All that dig prints."""
    place = ["-p", str(server.port), f"@{server.host}", "+norec", "+tries=1", "+time=15"]
    return run(require_tool("dig"), *place, *question).decode()


def status(said: str) -> str:
    """The code of the answer."""
    found = re.search(r"status: (\w+)", said)
    assert found is not None, said
    return found[1]


def flags(said: str) -> set[str]:
    """The flags of the answer."""
    found = re.search(r"^;; flags: ([\w ]*);", said, re.MULTILINE)
    assert found is not None, said
    return set(found[1].split())


def records(said: str, section: str = "ANSWER") -> list[str]:
    """The name, type and data of each record of a section."""
    found = re.search(rf"^;; {section} SECTION:\n(.*?)\n\n", said, re.MULTILINE | re.DOTALL)
    rows = [line.split(None, 4) for line in found[1].splitlines()] if found else []
    return [f"{name} {type_} {data}" for name, _, _, type_, data in rows]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (("www.example.org", "A"), ["www.example.org. A 192.0.2.80"]),
        (("WwW.Example.ORG", "AAAA"), ["WwW.Example.ORG. AAAA 2001:db8::80"]),
        (("example.org", "MX"), ["example.org. MX 10 mail.example.org."]),
        (("example.org", "TXT"), ['example.org. TXT "v=spf1 -all"']),
        (("ftp.example.org", "CNAME"), ["ftp.example.org. CNAME www.example.org."]),
        (("x.y.wild.example.org", "A"), ["x.y.wild.example.org. A 192.0.2.99"]),
        (
            ("chain.example.org", "A"),
            [
                "chain.example.org. CNAME ftp.example.org.",
                "ftp.example.org. CNAME www.example.org.",
                "www.example.org. A 192.0.2.80",
            ],
        ),
        (("away.example.org", "A"), ["away.example.org. CNAME www.example.com."]),
        (
            ("loop1.example.org", "A"),
            ["loop1.example.org. CNAME loop2.example.org.", "loop2.example.org. CNAME loop1.example.org."],
        ),
        (("www.example.org", "ANY", "+notcp"), ["www.example.org. A 192.0.2.80"]),
    ],
)
def test_dig_is_answered_with_authority(server: Program, question: tuple[str, ...], expected: list[str]) -> None:
    said = dig(server, *question)
    assert status(said) == "NOERROR"
    assert "aa" in flags(said)
    assert records(said) == expected


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("nobody.example.org", "NXDOMAIN"),
        ("dangling.example.org", "NXDOMAIN"),
        ("x.www.example.org", "NXDOMAIN"),
        ("mail.example.org", "NOERROR"),
        ("empty.example.org", "NOERROR"),
    ],
)
def test_what_is_not_there_comes_with_the_soa_and_how_long_to_remember_that(
    server: Program, question: str, code: str
) -> None:
    said = dig(server, question, "AAAA")
    assert status(said) == code
    assert [record.partition(" SOA ")[0] for record in records(said, "AUTHORITY")] == ["example.org."]
    assert re.search(r"^example\.org\.\s+300\s+IN\s+SOA", said, re.MULTILINE)


def test_a_part_of_the_zone_that_others_serve_is_referred_to_them(server: Program) -> None:
    said = dig(server, "a.b.sub.example.org", "A")
    assert (status(said), "aa" in flags(said), records(said)) == ("NOERROR", False, [])
    assert records(said, "AUTHORITY") == ["sub.example.org. NS ns.sub.example.org."]
    assert records(said, "ADDITIONAL") == ["ns.sub.example.org. A 192.0.2.54"]


def test_what_is_of_no_concern_is_refused(server: Program) -> None:
    assert status(dig(server, "www.example.com", "A")) == "REFUSED"
    assert status(dig(server, "www.example.org", "A", "-c", "CH")) == "REFUSED"


def test_an_answer_that_is_too_large_is_truncated_and_asked_for_again_over_tcp(server: Program) -> None:
    ignored = dig(server, "big.example.org", "TXT", "+ignore")
    assert "tc" in flags(ignored)
    assert records(ignored) == []
    assert len(records(dig(server, "big.example.org", "TXT"))) == 20
    over_tcp = dig(server, "big.example.org", "TXT", "+tcp")
    assert "tc" not in flags(over_tcp)
    assert len(records(over_tcp)) == 20


@pytest.mark.parametrize(
    ("options", "cut"),
    [(["+noedns"], True), (["+bufsize=512"], True), (["+bufsize=1232"], False), (["+bufsize=4096"], False)],
)
def test_the_client_says_how_much_it_takes(server: Program, options: list[str], cut: bool) -> None:  # noqa: FBT001
    said = dig(server, "medium.example.org", "A", "+ignore", *options)
    assert ("tc" in flags(said)) == cut
    size = re.search(r"MSG SIZE  rcvd: (\d+)", said)
    assert size is not None
    assert int(size[1]) <= (512 if cut else 1232)
    assert ("EDNS: version: 0" in said) == (options != ["+noedns"])


def test_a_later_version_of_edns_is_told_which_one_is_spoken(server: Program) -> None:
    said = dig(server, "www.example.org", "A", "+edns=1", "+noednsnegotiation")
    assert status(said) == "BADVERS"


def test_several_queries_share_a_connection(server: Program) -> None:
    said = dig(server, "+tcp", "+keepopen", "www.example.org", "A", "ftp.example.org", "A", "mail.example.org", "A")
    assert said.count("status: NOERROR") == 3


@every_loop
def test_ipv6_is_served_alike(loop: str) -> None:
    with running("dns_server.py", str(ZONE), "--host", "::1", loop=loop) as ipv6:
        for how in ("+notcp", "+tcp"):
            assert records(dig(ipv6, "www.example.org", "A", how)) == ["www.example.org. A 192.0.2.80"]


def test_dnsperf_loses_nothing(server: Program, tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.write_text("www.example.org A\nftp.example.org A\nnobody.example.org A\nbig.example.org TXT\n" * 50)
    place = ["-s", server.host, "-p", str(server.port)]
    said = run(require_tool("dnsperf"), *place, "-d", str(queries), "-n", "4", "-q", "20", "-t", "15").decode()
    assert re.search(r"Queries completed:\s+800 \(100\.00%\)", said), said
    assert re.search(r"NOERROR 600 \(75\.00%\), NXDOMAIN 200 \(25\.00%\)", said), said
