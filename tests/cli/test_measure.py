"""One measurement of a real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aionet.cli.demo.measure import Candidate, Cores, Workload, measure
from aionet.system.loops import available_loops
from tests.certificates import issue


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_bytes(issue("127.0.0.1"))
    return path


@pytest.mark.parametrize("loop", available_loops())
@pytest.mark.parametrize("server", ["aionet", "streams", "tls", "streams_tls"])
def test_two_load_generators_count_together(server: str, loop: str, certificate: Path) -> None:
    core = min(os.sched_getaffinity(0))
    workload = Workload(connections=3, size=10, seconds=0.05, warmup=0.01)
    found = measure(Candidate(server, loop), workload, Cores(core, (core, core)), certificate)
    assert found.messages >= 3
    assert found.seconds >= 0.05
    assert 0 < found.p50 <= found.p99 < found.seconds
    assert found.server_cpu > 0
    assert found.client_cpu > 0


@pytest.mark.parametrize(
    ("server", "imported"), [("aionet", True), ("streams", False), ("tls", True), ("streams_tls", False)]
)
def test_only_aionets_servers_import_it(server: str, certificate: Path, *, imported: bool) -> None:
    command = [sys.executable, "-P", "-X", "importtime", "aionet/cli/demo/server.py", server, "--loop", "asyncio"]
    command += ["--certificate", str(certificate)]
    root = Path(__file__).parents[2]
    result = subprocess.run(command, input="", capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(result.stdout)["address"].startswith("127.0.0.1:")
    assert ("| aionet\n" in result.stderr) is imported
    assert "trustme" not in result.stderr


def test_a_server_over_tls_says_what_it_needs() -> None:
    command = [sys.executable, "-P", "aionet/cli/demo/server.py", "tls", "--loop", "asyncio"]
    root = Path(__file__).parents[2]
    result = subprocess.run(command, input="", capture_output=True, text=True, check=False, cwd=root)
    assert result.returncode == 2
    assert "tls needs --certificate" in result.stderr


def test_a_server_and_its_clients_have_cores_of_their_own_where_there_are_two() -> None:
    usable = os.sched_getaffinity(0)
    cores = Cores.here()
    if len(usable) == 1:
        assert cores.shared
        assert cores.clients == (None,)
    else:
        assert cores.server in usable
        assert set(cores.clients) <= usable - {cores.server}
        assert len(cores.clients) == min(2, len(usable) - 1)
