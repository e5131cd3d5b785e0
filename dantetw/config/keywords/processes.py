"""
The processes of the server: how many, how long they live, and where they run.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dantetw.config.arguments import HOST, SECONDS, Number, Rest
from dantetw.config.draft import number
from dantetw.config.keyword import GLOBAL, Keyword, Values
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.reader import Reader
from dantetw.config.report import ConfigError

#: Processes of Dante that ``cpu.…`` keywords name, and scheduling policies of Linux.
PROCESSES: Final = ("mother", "monitor", "negotiate", "request", "io")
SCHEDULING: Final = ("other", "fifo", "fifo2", "fifo3", "fifo4", "rr", "idle", "batch")

_ANY: Final = re.compile(r"(?a)any\b")
_SLASH: Final = re.compile("/")


@dataclass(frozen=True, slots=True)
class Schedule:
    """``POLICY/PRIORITY`` of ``cpu.schedule``."""

    policies: Collection[str]

    @property
    def form(self) -> str:
        return "POLICY/PRIORITY"

    def read(self, reader: Reader) -> Values:
        policy = reader.expect(HOST, self.form)
        if policy.text not in self.policies:
            raise ConfigError(
                policy,
                f'unknown scheduling policy "{policy.text}"',
                " ".join(self.policies),
                nearest(policy.text, self.policies),
            )
        reader.expect(_SLASH, f'"/", as in {self.form}')
        token, priority = reader.number()
        return Values((policy, token), (priority,))


@dataclass(frozen=True, slots=True)
class CpuMask:
    """Numbers of processors, or ``any``."""

    @property
    def form(self) -> str:
        return "NUMBER … | any"

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        token = reader.lexer.take(_ANY)
        if token is not None:
            return Values((token,))
        tokens: list[Token] = []
        numbers: list[int] = []
        while not tokens or (not reader.at_end() and reader.lexer.peek().isdigit()):
            token, processor = reader.number('processor numbers or "any"')
            tokens.append(token)
            numbers.append(processor)
        return Values(tuple(tokens), tuple(numbers))


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "workers",
        GLOBAL,
        Number(low=1, high=1024),
        "processes that serve clients; 1: the server is one process (dantetw's own); -N wins",
        "one for each processor",
        setting=number("workers"),
    ),
    Keyword(
        "child.maxrequests",
        GLOBAL,
        Number(),
        "requests a worker serves before it is replaced; 0: no limit",
        "0",
        setting=number("max_requests"),
    ),
    Keyword(
        "child.maxlifetime",
        GLOBAL,
        SECONDS,
        "age at which a worker is replaced; 0: no limit (Dante 1.4.3)",
        "0",
        setting=number("max_lifetime"),
    ),
    Keyword(
        "timeout.worker",
        GLOBAL,
        SECONDS,
        "after which a worker that does not respond is killed; 0: never (dantetw's own)",
        "10",
        setting=number("worker_timeout"),
    ),
    Keyword(
        "timeout.handover",
        GLOBAL,
        SECONDS,
        "for sessions of a server whose place another takes; 0: for ever (dantetw's own)",
        "3600",
        setting=number("handover"),
    ),
    Keyword(
        "cpu.schedule.PROC",
        GLOBAL,
        Schedule(SCHEDULING),
        "scheduling policy of a kind of process",
        "none",
        pattern=rf"cpu\.schedule\.({'|'.join(PROCESSES)})",
        examples=lambda program: [f"cpu.schedule.{process}" for process in PROCESSES],
    ),
    Keyword(
        "cpu.mask.PROC",
        GLOBAL,
        CpuMask(),
        "processors of a kind of process",
        "any",
        pattern=rf"cpu\.mask\.({'|'.join(PROCESSES)})",
        examples=lambda program: [f"cpu.mask.{process}" for process in PROCESSES],
    ),
    Keyword("child.maxidle", GLOBAL, Rest("…", limit=4096), "ignored", ignored=True),
)

UNSUPPORTED: Final = {
    "cpu.schedule.PROC": "scheduling of processes",
    "cpu.mask.PROC": "binding processes to processors",
}
