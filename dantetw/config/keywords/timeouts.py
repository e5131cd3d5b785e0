"""
``timeout.…`` of sessions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dantetw.config.arguments import SECONDS
from dantetw.config.draft import number
from dantetw.config.keyword import ANYWHERE, GLOBAL, Effect, Keyword
from dantetw.config.report import Report
from dantetw.config.tree import Block
from dantetw.policy import Timeouts

_FIN_WAIT: Final = (
    "addrule(): it does not make sense to let the tcp-fin-wait timeout be longer than the tcp i/o "
    "timeout, so reducing tcp-fin-wait for this rule from {} to {}"
)


def limited(timeouts: Timeouts, block: Block, report: Report) -> Timeouts:
    """A rule's timeouts, with ``timeout.tcp_fin_wait`` no longer than ``timeout.io.tcp``."""
    io, fin_wait = timeouts.io_tcp, timeouts.tcp_fin_wait
    if not 0 < io < fin_wait:
        return timeouts
    report.warning(block.close, _FIN_WAIT.format(fin_wait, io))
    return replace(timeouts, tcp_fin_wait=io)


def _timeout(
    name: str, fields: tuple[str, ...], meaning: str, default: str = "", old_of: str = ""
) -> Keyword:
    effect: Effect = number(*fields)
    places = GLOBAL if old_of else ANYWHERE
    return Keyword(
        name,
        places,
        SECONDS,
        meaning,
        default,
        setting=effect,
        in_block=effect,
        present=old_of,
        deprecated=bool(old_of),
    )


_BOTH: Final = ("io_tcp", "io_udp")

KEYWORDS: Final[tuple[Keyword, ...]] = (
    _timeout("timeout.connect", ("connect",), "for connecting to a target; 0: the kernel's", "30"),
    _timeout("timeout.negotiate", ("negotiate",), "from accept to request; 0: for ever", "30"),
    _timeout("timeout.io", _BOTH, "timeout.io.tcp and timeout.io.udp at once"),
    _timeout("timeout.io.tcp", ("io_tcp",), "without traffic, TCP; 0: for ever", "0"),
    _timeout("timeout.io.udp", ("io_udp",), "without traffic, UDP; 0: for ever", "86400"),
    _timeout("timeout.tcp_fin_wait", ("tcp_fin_wait",), "after one side has closed", "0"),
    _timeout(
        "connecttimeout",
        ("connect",),
        "old name of timeout.connect",
        old_of="timeout.connect",
    ),
    _timeout("iotimeout", _BOTH, "old name of timeout.io", old_of="timeout.io"),
)
