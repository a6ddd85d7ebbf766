"""What a process and its children use, as the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


def tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its children; those that ended are counted by who waited for them."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def own_megabytes(pid: int) -> float:
    """Memory that would be free again if the process and its children ended (USS)."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_full_info().uss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total / 1e6


def busy_seconds() -> float:
    """All that all processors did."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user already
    return sum(times) - idle - guests


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds until now: the client's, the benchmark's with its server, and the whole machine's."""

    client: float
    ours: float
    all: float

    @classmethod
    def now(cls, client: int, server: int) -> Spent:
        this = psutil.Process().cpu_times()
        mine = this.user + this.system + cpu_seconds(server)
        return cls(cpu_seconds(client), mine, busy_seconds())

    @property
    def others(self) -> float:
        return self.all - self.client - self.ours

    def since(self, before: Spent) -> Spent:
        return Spent(self.client - before.client, self.ours - before.ours, self.all - before.all)
