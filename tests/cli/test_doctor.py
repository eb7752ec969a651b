"""``aionet doctor``: what it finds is what the system has."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import ssl
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from aionet.cli.doctor import limits as limits_module
from aionet.cli.doctor.features import features
from aionet.cli.doctor.finding import Finding, Verdict
from aionet.cli.doctor.limits import limits
from aionet.cli.doctor.versions import versions
from tests.commands import COMMAND, aionet


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {each.name: each for each in findings}


def sysctl(name: str) -> str:
    return Path("/proc/sys", *name.split(".")).read_text().strip()


def limited_by(name: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> Finding:
    """What is said where a limit of the kernel has this value."""
    monkeypatch.setattr(limits_module, "_sysctl", lambda _: value)
    return by_name(limits())[name]


def in_a_network_of_its_own(script: str) -> str:
    """Run a script that may set what it likes, since the network namespace it sets it in is its own."""
    command = ["unshare", "--net", "--map-root-user", "bash", "-ec", script, "bash", *COMMAND]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_json_has_every_finding() -> None:
    done = aionet("doctor", "--json")
    assert (done.status, done.errors) == (0, "")
    found: dict[str, list[dict[str, Any]]] = json.loads(done.output)
    names = {group: [each["name"] for each in findings] for group, findings in found.items()}
    assert names == {
        "versions": ["aionet", "Python", "system", "OpenSSL", "uvloop"],
        "features": ["epoll", "GSO", "GRO", "kTLS", "SO_REUSEPORT", "IPv6"],
        "limits": ["RLIMIT_NOFILE", "somaxconn", "rmem_max", "wmem_max", "tcp_fastopen", "ip_local_port_range"],
    }
    assert {key for findings in found.values() for each in findings for key in each} == {
        "name", "found", "shown", "verdict", "means", "advice"
    }  # fmt: skip


def test_versions_are_those_of_what_runs() -> None:
    found = by_name(versions())
    assert found["aionet"].found == metadata.version("aionet")
    assert found["Python"].found == platform.python_version()
    assert str(found["system"].found) == f"Linux {os.uname().release}"
    assert f"OpenSSL {found['OpenSSL'].found}" == ssl.OPENSSL_VERSION


def test_without_uvloop_it_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.cli.doctor.versions.available_loops", lambda: ("asyncio",))
    uvloop = by_name(versions())["uvloop"]
    assert (uvloop.verdict, uvloop.advice) == (Verdict.LIMITED, "pip install 'aionet[uvloop]'")


def test_the_features_of_a_linux_of_today_are_found() -> None:
    found = by_name(features())
    release = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    assert found["epoll"].found
    assert found["GSO"].found == (release >= (4, 18))
    assert found["GRO"].found == (release >= (5, 0))
    assert found["SO_REUSEPORT"].found


def test_ktls_is_what_the_kernel_lists() -> None:
    listed = sysctl("net.ipv4.tcp_available_ulp").split()
    assert by_name(features())["kTLS"].found == ("tls" in listed)


def test_a_feature_that_is_missing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    # The numbers of options that no kernel has.
    monkeypatch.setattr("aionet.cli.doctor.features._UDP_SEGMENT", 9999)
    monkeypatch.setattr("aionet.cli.doctor.features._UDP_GRO", 9999)
    monkeypatch.delattr("select.epoll")
    found = by_name(features())
    for name in ("GSO", "GRO", "epoll"):
        assert (found[name].found, found[name].verdict) == (False, Verdict.LIMITED)


def test_limits_are_those_of_the_system() -> None:
    found = by_name(limits())
    assert found["RLIMIT_NOFILE"].found == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found["somaxconn"].found == int(sysctl("net.core.somaxconn"))
    assert found["rmem_max"].found == int(sysctl("net.core.rmem_max"))
    assert found["wmem_max"].found == int(sysctl("net.core.wmem_max"))
    assert found["tcp_fastopen"].found == int(sysctl("net.ipv4.tcp_fastopen"))
    assert found["ip_local_port_range"].found == sysctl("net.ipv4.ip_local_port_range").replace("\t", "-")


def test_a_low_limit_on_descriptors_says_how_many_connections_are_left() -> None:
    limited = ["bash", "-c", 'ulimit -n 100; exec "$@"', "bash", *COMMAND, "doctor", "--json"]
    done = subprocess.run(limited, capture_output=True, check=True)
    found = json.loads(done.stdout)["limits"][0]
    assert (found["found"], found["verdict"]) == (100, "limited")
    assert found["means"].startswith("a server takes 80 connections at a time")
    assert found["advice"].startswith("LimitNOFILE=12500")


def test_limits_of_a_network_that_are_low_are_found_with_what_raises_them() -> None:
    script = (
        "echo 128 > /proc/sys/net/core/somaxconn; echo 0 > /proc/sys/net/ipv4/tcp_fastopen;"
        'echo 40000 40999 > /proc/sys/net/ipv4/ip_local_port_range; "$@" doctor --json'
    )
    found = {each["name"]: each for each in json.loads(in_a_network_of_its_own(script))["limits"]}
    assert found["somaxconn"]["found"] == 128
    assert found["somaxconn"]["advice"] == "sysctl -w net.core.somaxconn=4096"
    assert "refused to clients and servers" in found["tcp_fastopen"]["means"]
    assert found["tcp_fastopen"]["advice"] == "sysctl -w net.ipv4.tcp_fastopen=3"
    assert found["ip_local_port_range"]["means"].startswith("1000 connections")
    assert {found[name]["verdict"] for name in ("somaxconn", "tcp_fastopen", "ip_local_port_range")} == {"limited"}


def test_a_small_receive_buffer_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "_ASKED", 200_000)  # as if no more were granted
    found = by_name(limits())["rmem_max"]
    assert (found.found, found.verdict) == (200_000, Verdict.LIMITED)
    assert "holds 1.6 ms of 1 Gbit/s" in found.means


@pytest.mark.parametrize("name", ["somaxconn", "tcp_fastopen", "ip_local_port_range"])
def test_what_the_system_does_not_tell_is_unknown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = limited_by(name, None, monkeypatch)
    assert (found.found, found.verdict) == (None, Verdict.UNKNOWN)


def test_fast_open_that_is_on_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "_sysctl", {"net.ipv4.tcp_fastopen": "3"}.get)
    assert by_name(limits())["tcp_fastopen"].verdict is Verdict.OK


def test_people_get_a_table_without_escape_codes_where_there_is_no_terminal() -> None:
    done = aionet("doctor")
    assert done.status == 0
    shown = done.output.decode()
    assert "\x1b" not in shown
    assert re.search(r"^  RLIMIT_NOFILE +(ok|limited) ", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"^(Nothing here holds aionet back\.|\d+ things? (is|are) limited\.)", shown, re.MULTILINE)
