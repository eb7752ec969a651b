"""Happy eyeballs (RFC 8305): the order of addresses, and which attempt comes next.

A name often has addresses of both families while one family's route is dead. The addresses are tried in alternating
families, each a short while after the one before it, and the first connection wins. Here are the decisions alone: the
caller owns the clock and the sockets, and reports what happened to them.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aionet.address import Address

__all__ = ["Schedule", "interleave"]


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Alternate the families, without changing the order inside each; the family of the first address stays first.

    The resolver's order (RFC 6724) says which family the system prefers, so it is kept as the preference.

    Source: RFC 8305 section 4, with a First Address Family Count of 1.
    """
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


class Schedule:
    """Which address to try next.

    Call ``next_attempt`` to begin, and again whenever the connection attempt delay has passed since the latest one
    began; call ``attempt_failed`` when an attempt ends in an error. Either returns the address to try now, or None;
    with each address that it returns the delay begins anew. The first attempt that connects wins: the caller cancels
    the others and forgets the schedule.

    It owns the addresses that are still to be tried, and the failures.

    Source: RFC 8305 section 5.
    """

    __slots__ = ("_failures", "_pending", "_running")

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._pending = deque(addresses)
        self._running: list[Address] = []
        self._failures: list[tuple[Address, OSError]] = []

    @property
    def has_next(self) -> bool:
        """Whether an address is left that was not tried yet: without one, no delay needs to be timed."""
        return bool(self._pending)

    @property
    def all_failed(self) -> bool:
        """Whether every address was tried and failed; so it is from the start when there are no addresses."""
        return not self._pending and not self._running

    @property
    def failures(self) -> tuple[tuple[Address, OSError], ...]:
        """Each address that failed, with its error, in the order of failing."""
        return tuple(self._failures)

    def next_attempt(self) -> Address | None:
        """Take the next address: the attempts before it have had their head start."""
        if not self._pending:
            return None
        address = self._pending.popleft()
        self._running.append(address)
        return address

    def attempt_failed(self, address: Address, error: OSError) -> Address | None:
        """Record a failure and take the next address at once, without waiting for the delay.

        Raises ValueError for an address that is not being tried.
        """
        self._running.remove(address)
        self._failures.append((address, error))
        return self.next_attempt()
