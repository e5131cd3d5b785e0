"""
This process in words, for ``debug``.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from typing import Any

import twisted
from dantetw.process import prctl


def environment(reactor: Any) -> Iterator[str]:
    """The platform, the process and its user."""
    yield (
        f"Python {platform.python_version()}, Twisted {twisted.__version__},"
        f" {type(reactor).__name__}, {platform.system()} {platform.release()},"
        f" {os.cpu_count()} processors"
    )
    yield f"process {os.getpid()}, parent {os.getppid()}, in {os.getcwd()}"
    yield identity()


def identity() -> str:
    """The user and group ids of this process."""
    uids, gids = os.getresuid(), os.getresgid()
    return (
        f"user ids: real {uids[0]}, effective {uids[1]}, saved {uids[2]};"
        f" group ids: real {gids[0]}, effective {gids[1]}, saved {gids[2]};"
        f" new privileges are {'impossible' if prctl.forbidden() else 'possible'}"
    )


def usage() -> str:
    """The resources used since the start (:manpage:`getrusage(2)`)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (
        f"resource usage: {used.ru_utime:.3f}s of CPU time for us, {used.ru_stime:.3f}s for the"
        f" system on our behalf, {used.ru_maxrss} KB of memory at most, {used.ru_nvcsw} voluntary"
        f" and {used.ru_nivcsw} involuntary context switches"
    )
