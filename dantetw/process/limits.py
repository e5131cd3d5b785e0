"""
Limits of the machine's resources: descriptors, of which each session takes two, and processors.
"""

from __future__ import annotations

import math
import os
import resource
import threading
from collections.abc import Iterator
from typing import Final

_OPEN: Final = "/proc/self/fd"
# Of the control group that a container sees as its own (cgroup v2).
_CPU_MAX: Final = "/sys/fs/cgroup/cpu.max"


def raise_descriptors() -> int:
    """
    Raise the limit of open files to the highest that is allowed (``getrlimit(2)``).

    :returns: the limit that holds now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft  # some systems name a hard limit that they do not grant
    return hard


def processors() -> int:
    """
    How many processors we can keep busy: those we may run on, but no more than our control group is
    granted the time of (``cpu.max``, rounded up), as containers are.
    """
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    granted = _granted(_CPU_MAX)
    return max(1, number or 1) if granted is None else max(1, min(number or 1, granted))


def _granted(path: str) -> int | None:
    """Processors' worth of time that a file ``cpu.max`` grants; None: no limit is known."""
    try:
        with open(path) as file:
            quota, period = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return math.ceil(quota / period) if period > 0 else None


def limits() -> tuple[int | None, int | None]:
    """How many processes and how many open files we may have; None: there is no limit."""
    processes, files = (
        resource.getrlimit(number)[0] for number in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)
    )
    unlimited = resource.RLIM_INFINITY
    return None if processes == unlimited else processes, None if files == unlimited else files


def tasks() -> int:
    """How many of the processes of a limit are ours: the system counts threads."""
    return threading.active_count()


def count_files() -> Iterator[int]:
    """
    Count the open files, a step at a time: the last number is the result.  Yields nothing where the
    system does not show them.

    A step at a time, since before Linux 6.2 each costs 2 us, and we may have tens of thousands.
    """
    try:
        known = os.stat(_OPEN).st_size
        if known:
            yield known
            return
        with os.scandir(_OPEN) as entries:
            # Not counting what it takes to count.
            yield from (number for number, _ in enumerate(entries))
    except OSError:
        return
