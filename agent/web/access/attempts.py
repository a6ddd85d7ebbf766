"""Who guesses passwords has to wait, longer and longer: by address, by name, and all together."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from agent.clock import Clock

FORGOTTEN_AFTER = 3600.0
"""Seconds without an attempt."""
MOST_FRIENDS = 100
"""Networks from which somebody has logged in: those wait for their own wrong tries alone."""
MOST_KNOWN = 1000
"""Addresses, and names: of more, those that have been quiet for longest are forgotten."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``free`` attempts without a pause, then one of a second, of two, of four …"""

    free: int
    longest: float

    def pause(self, count: int) -> float:
        return 0.0 if count < self.free else min(self.longest, 2.0 ** min(count - self.free, 30))


BY_ADDRESS = Rule(5, 900.0)
BY_NAME = Rule(10, 60.0)
"""Short, because anybody may give the owner's name."""
IN_ALL = Rule(100, 5.0)
"""However many addresses they come from."""


@dataclass(slots=True)
class _Count:
    count: int
    last: float


class _Counts:
    """By a key; a bounded number of them."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next attempt may come."""
        known = self._counts.get(key)
        if known is None or now - known.last >= FORGOTTEN_AFTER:
            return 0.0
        return max(0.0, known.last + self._rule.pause(known.count) - now)

    def add(self, key: str, now: float) -> None:
        known = self._counts.pop(key, None)
        count = known.count if known and now - known.last < FORGOTTEN_AFTER else 0
        self._counts[key] = _Count(count + 1, now)
        while len(self._counts) > MOST_KNOWN:
            self._counts.popitem(last=False)

    def forget(self, key: str) -> None:
        self._counts.pop(key, None)

    def take_back(self, key: str) -> None:
        if known := self._counts.get(key):
            known.count = max(0, known.count - 1)


class Attempts:
    """Every attempt counts as failed when it begins, so that many at once are many. One that succeeds is forgiven."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses = _Counts(BY_ADDRESS)
        self._names = _Counts(BY_NAME)
        self._all = _Counts(IN_ALL)
        self._friends: OrderedDict[str, None] = OrderedDict()
        self._slowed = float("-inf")

    def begin(self, address: str, name: str) -> float:
        """Seconds to wait; 0 where the attempt may be made, which is then counted."""
        now = self._clock.now().monotonic
        places = self._places(address, name)
        if wait := max(counts.wait(key, now) for counts, key in places):
            self._slowed = now
            return wait
        for counts, key in places:
            counts.add(key, now)
        return 0.0

    def succeeded(self, address: str, name: str) -> None:
        network = network_of(address)
        self._friends[network] = self._friends.pop(network, None)
        while len(self._friends) > MOST_FRIENDS:
            self._friends.popitem(last=False)
        self._addresses.forget(network)
        self._names.forget(name)
        self._all.take_back("")

    @property
    def quiet(self) -> bool:
        """Nobody has had to wait for some time."""
        return self._clock.now().monotonic - self._slowed >= FORGOTTEN_AFTER

    def _places(self, address: str, name: str) -> tuple[tuple[_Counts, str], ...]:
        """Whoever guesses from everywhere must not keep out those who live here."""
        network = network_of(address)
        own = (self._addresses, network)
        return (own,) if network in self._friends else (own, (self._names, name[:64]), (self._all, ""))


def network_of(address: str) -> str:
    """A household has a whole /64 of IPv6 to itself."""
    try:
        known = ip_address(address)
    except ValueError:
        return "unknown"
    return str(IPv6Address(int(known) >> 64 << 64)) if known.version == 6 else str(known)
