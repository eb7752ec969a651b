"""Names resolve in threads of their own, numbers without any."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from aionet.address import InetAddress
from aionet.errors import AddressError, ResolveError
from aionet.system import resolver
from aionet.system.resolver import Resolver, resolve, reverse

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = socket.if_indextoname(1)
THREADS = 16


@pytest.fixture
def no_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        pytest.fail("a numeric host was looked up")

    monkeypatch.setattr(resolver, "_pool", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


class SlowDNS:
    """A getaddrinfo that waits until it is released, and remembers what it was asked."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self._all_threads_are_busy = threading.Event()
        self.hosts: list[str] = []
        self.threads: set[str] = set()

    def getaddrinfo(self, host: str, port: int, *_: object, **__: object) -> list[Any]:
        """Answer for any host, once released."""
        self.hosts.append(host)
        self.threads.add(threading.current_thread().name)
        if len(self.hosts) == THREADS:
            self._all_threads_are_busy.set()
        self.released.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def all_threads_are_busy(self) -> None:
        """Wait, in the default executor, until as many lookups as there are threads have begun."""
        try:
            async with asyncio.timeout(10):
                await asyncio.to_thread(self._all_threads_are_busy.wait)
        except TimeoutError:
            self.released.set()  # lookups in the default executor would keep the loop from ever closing
            raise


@pytest.fixture
def slow_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDNS]:
    dns = SlowDNS()
    monkeypatch.setattr(socket, "getaddrinfo", dns.getaddrinfo)
    yield dns
    dns.released.set()


@pytest.mark.usefixtures("no_lookups")
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", InetAddress("127.0.0.1", 80)),
        ("::1", InetAddress("::1", 80)),
        ("0:0::0:1", InetAddress("::1", 80)),
        ("fe80::1%1", InetAddress("fe80::1", 80, scope_id=1)),
        (f"fe80::1%{LOOPBACK}", InetAddress("fe80::1", 80, scope_id=1)),
        ("fe80::1%4294967295", InetAddress("fe80::1", 80, scope_id=2**32 - 1)),
    ],
)
async def test_a_numeric_host_is_answered_without_a_thread(host: str, address: InetAddress) -> None:
    assert await resolve(host, 80) == [address]
    assert await resolve(host, 80, family=address.family) == [address]


@pytest.mark.parametrize(
    ("host", "family", "flags"),
    [
        ("127.0.0.1", 0, 0),
        ("fe80::1%1", 0, 0),
        ("127.0.0.1", socket.AF_INET6, socket.AI_V4MAPPED),
        ("::1", socket.AF_INET6, socket.AI_V4MAPPED),
        (None, 0, 0),
        (None, 0, socket.AI_PASSIVE),
        (None, socket.AF_INET, 0),
        (None, socket.AF_INET6, socket.AI_PASSIVE),
    ],
)
async def test_what_is_answered_without_a_thread_is_what_the_library_says(
    host: str | None, family: int, flags: int
) -> None:
    library = socket.getaddrinfo(host, 80, family, socket.SOCK_STREAM, 0, flags)
    answer = await resolve(host, 80, family=family, flags=flags)
    assert sorted(address.sockaddr for address in answer) == sorted(entry[4] for entry in library)


@pytest.mark.usefixtures("no_lookups")
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET6), ("::1", socket.AF_INET)])
async def test_a_numeric_host_of_another_family_is_an_error(host: str, family: int) -> None:
    with pytest.raises(ResolveError, match="address of another family") as caught:
        await resolve(host, 80, family=family)
    assert caught.value.errno == socket.EAI_ADDRFAMILY
    assert repr(host) in str(caught.value)


@pytest.mark.usefixtures("no_lookups")
@pytest.mark.parametrize("scope", ["no-such-if0", "", "a\0b", "9" * 5000])
async def test_a_scope_that_no_interface_has_is_an_error(scope: str) -> None:
    with pytest.raises(ResolveError, match="no interface is called") as caught:
        await resolve(f"fe80::1%{scope}", 80)
    assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", None])
@pytest.mark.parametrize("port", [-1, 65536, "80"])
async def test_a_port_out_of_range_is_an_error_whatever_the_host(host: str | None, port: Any) -> None:
    with pytest.raises(AddressError, match=f"bad port {port!r}"):
        await resolve(host, port)


async def test_localhost_is_loopback() -> None:
    addresses = await resolve("localhost", 80)
    assert addresses
    assert set(addresses) <= {InetAddress("127.0.0.1", 80), InetAddress("::1", 80)}


async def test_an_address_comes_once_however_many_socket_types_there_are() -> None:
    addresses = await resolve("localhost", 80, type=0)
    assert len(addresses) == len(set(addresses))
    assert len(socket.getaddrinfo("localhost", 80)) > len(addresses)


async def test_a_name_that_does_not_exist_is_an_error_with_the_name_and_the_cause() -> None:
    with pytest.raises(ResolveError, match=r"cannot resolve 'does-not-exist\.invalid': ") as caught:
        await resolve("does-not-exist.invalid", 80)
    # Without a name server the library says "try again".
    assert caught.value.errno in {socket.EAI_NONAME, socket.EAI_AGAIN}
    assert isinstance(caught.value, socket.gaierror)
    assert isinstance(caught.value.__cause__, socket.gaierror)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "a\0b", "127.0.0.1%lo", "", "[::1]"])
async def test_what_can_be_no_name_is_an_error(host: str) -> None:
    with pytest.raises(ResolveError, match="cannot resolve") as caught:
        await resolve(host, 80, flags=socket.AI_NUMERICHOST)
    assert caught.value.errno == socket.EAI_NONAME
    assert repr(host) in str(caught.value)


async def test_a_failure_of_the_system_keeps_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_descriptors(*_: object) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "getaddrinfo", out_of_descriptors)
    with pytest.raises(ResolveError, match="cannot resolve 'name': Too many open files") as caught:
        await resolve("name", 80)
    assert caught.value.errno == socket.EAI_SYSTEM


async def test_slow_dns_takes_no_thread_of_the_default_executor(slow_dns: SlowDNS) -> None:
    # More than the pool and the default executor have together.
    lookups = [asyncio.create_task(resolve(f"slow{number}.test", 80)) for number in range(64)]
    loop = asyncio.get_running_loop()
    await slow_dns.all_threads_are_busy()
    assert await loop.run_in_executor(None, lambda: "not starved") == "not starved"
    assert await resolve("127.0.0.1", 80) == [InetAddress("127.0.0.1", 80)]
    assert not any(lookup.done() for lookup in lookups)
    slow_dns.released.set()
    assert await asyncio.gather(*lookups) == [[InetAddress("127.0.0.1", 80)]] * 64


async def test_the_threads_are_few_and_say_what_they_are_for(slow_dns: SlowDNS) -> None:
    lookups = [asyncio.create_task(resolve(f"slow{number}.test", 80)) for number in range(2 * THREADS)]
    await slow_dns.all_threads_are_busy()
    assert len(slow_dns.hosts) == len(slow_dns.threads) == THREADS
    assert all(name.startswith("aionet-resolver") for name in slow_dns.threads)
    slow_dns.released.set()
    await asyncio.gather(*lookups)


async def test_a_cancelled_lookup_ends_at_once_and_one_that_waits_is_never_made(slow_dns: SlowDNS) -> None:
    lookups = [asyncio.create_task(resolve(f"slow{number}.test", 80)) for number in range(THREADS)]
    await slow_dns.all_threads_are_busy()
    waiting = asyncio.create_task(resolve("waiting.test", 80))
    await asyncio.sleep(0)
    for task in (waiting, lookups[0]):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    slow_dns.released.set()
    await asyncio.gather(*lookups[1:])
    await resolve("after.test", 80)
    assert "waiting.test" not in slow_dns.hosts


@pytest.mark.usefixtures("slow_dns")
async def test_a_lookup_can_be_given_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolve("slow.test", 80)


def test_a_forked_process_makes_threads_of_its_own() -> None:
    program = """
import asyncio, os, signal
from aionet.system.resolver import resolve

def lookup():
    assert asyncio.run(resolve("localhost", 80))

lookup()
child = os.fork()
signal.alarm(20)
lookup()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    # Python 3.12 warns of any fork of a process with threads, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    assert subprocess.run(command, check=False, timeout=50).returncode == 0


@pytest.mark.usefixtures("no_lookups")
async def test_numeric_reverse_lookups_use_no_thread() -> None:
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert await reverse(InetAddress("127.0.0.1", 80), flags=numeric) == ("127.0.0.1", "80")
    assert await reverse(InetAddress("fe80::1", 80, scope_id=1), flags=numeric) == (f"fe80::1%{LOOPBACK}", "80")


async def test_reverse_names_the_host_and_the_service() -> None:
    assert await reverse(InetAddress("127.0.0.1", 22)) == socket.getnameinfo(("127.0.0.1", 22), 0)
    host, service = await reverse(InetAddress("127.0.0.1", 22), flags=socket.NI_NUMERICHOST)
    assert (host, service) == ("127.0.0.1", socket.getservbyport(22))


async def test_reverse_without_a_name_is_an_error_where_a_name_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getnameinfo", no_name)
    with pytest.raises(ResolveError, match=r"cannot resolve '127\.0\.0\.1:80': Name or service not known") as caught:
        await reverse(InetAddress("127.0.0.1", 80), flags=socket.NI_NAMEREQD)
    assert caught.value.errno == socket.EAI_NONAME


async def test_a_resolver_of_ones_own_is_called_the_same_way() -> None:
    async def fixed(host: str | None, port: int, **_: Any) -> list[InetAddress]:
        return [InetAddress(host or "127.0.0.1", port)]

    resolvers: list[Resolver] = [resolve, fixed]
    assert [await each("127.0.0.1", 80, family=socket.AF_INET) for each in resolvers] == [
        [InetAddress("127.0.0.1", 80)],
        [InetAddress("127.0.0.1", 80)],
    ]
