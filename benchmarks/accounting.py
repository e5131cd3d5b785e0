"""
Reads a log and says what is wrong with it.

Clients come from ``127.0.1.0/24``, where nobody else is, so that each line of a session names its
client wherever the address stands.  A session's lines come in one order: ``tcp/accept [``,
``tcp/connect [``, any ``tcp/connect -``, ``tcp/connect ]``, ``tcp/accept ]``.  The sessions of one
client's address and port come one after the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

_STAMP: Final = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
#: What stands before a message: in files; in a datagram to the log daemon.
PREFIX: Final = re.compile(rf"(?:{_STAMP} \(\d+\.\d{{6}}\)|<\d+>{_STAMP}) [\w.-]+\[\d+\]: [a-z]+: ")
#: What may follow a message's first line: the block of ``log: tcpinfo``.
_BLOCK: Final = re.compile(r"|TCP_INFO:|tcpi_\w+ +: [ -~]+")
#: How a message about a client begins; others are about the server.
_RULE: Final = re.compile("pass|block")
_CLIENT: Final = re.compile(r"127\.0\.1\.\d+\.\d+")

_A: Final = r"\d+\.\d+\.\d+\.\d+\.\d+"
_END: Final = r": [ -~]+\.  Session duration: \d+s"
#: The lines of a session, by their place in it.
_STEPS: Final = (
    re.compile(rf"pass\(1\): tcp/accept \[: {_A} {_A}"),
    re.compile(rf"pass\(1\): tcp/connect \[: {_A} {_A} -> {_A} {_A}"),
    re.compile(rf"pass\(1\): tcp/connect -: {_A} {_A} -> {_A} {_A} \(\d+\)(?:: [ -~]*)?"),
    re.compile(
        rf"pass\(1\): tcp/connect \]: \d+ -> {_A} {_A} -> \d+, \d+ -> {_A} {_A} -> \d+{_END}"
    ),
    re.compile(rf"pass\(1\): tcp/accept \]: \d+ -> {_A} {_A} -> \d+{_END}"),
)
_ACCEPT, _CONNECT, _TRANSFER, _CONNECT_END, _ACCEPT_END = range(5)
#: What may come next, by what came last; a session begins and ends with ``_ACCEPT_END``.
_NEXT: Final = {
    _ACCEPT_END: {_ACCEPT},
    _ACCEPT: {_CONNECT},
    _CONNECT: {_TRANSFER, _CONNECT_END},
    _TRANSFER: {_TRANSFER, _CONNECT_END},
    _CONNECT_END: {_ACCEPT_END},
}
_LOSS: Final = re.compile(
    r'(?:can write again to|could not write to) logfile "(.+)": (\d+) lines? (?:was|were) lost'
)
_COMPLAINT: Final = re.compile(r'could not write to logfile "(.+?)": ')


@dataclass
class Account:
    """
    What stands in a log.

    :ivar messages: all of them, in order, without what stands before them, of each its first line.
    :ivar sessions: how many whole sessions each client had.
    :ivar lines: how many lines sessions made.
    :ivar unfinished: clients whose last session lacks lines.
    :ivar torn: lines that are no line of ours, whole; ``misplaced``: not the next one of their
        session; ``duplicates``: a line of a session, once more (but for transfers, which may be
        alike: one too many shows in ``lines``).
    """

    messages: list[str] = field(default_factory=list)
    sessions: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    unfinished: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that is wrong with the lines, but for whole ones that are missing."""
        return self.torn + self.misplaced + self.duplicates

    def lost(self, name: str) -> int:
        """How many lines this log says a destination has lost."""
        found = (_LOSS.fullmatch(message) for message in self.messages)
        return sum(int(one[2]) for one in found if one and one[1] == name)

    def without(self, name: str) -> list[str]:
        """The messages but for those about a destination."""
        return [message for message in self.messages if about(message) != name]


def about(message: str) -> str | None:
    """The destination whose trouble a message tells, None if it does no such thing."""
    found = _LOSS.fullmatch(message) or _COMPLAINT.match(message)
    return found[1] if found else None


def account(text: str) -> Account:
    """Read a log, from its beginning."""
    found = Account()
    # By client: what came last, and all that the session has said.
    last: dict[str, int] = {}
    said: dict[str, set[str]] = {}
    lines = text.split("\n")
    if lines.pop():
        found.torn.append("no newline at the end")
    for line in lines:
        prefix = PREFIX.match(line)
        if prefix is None:
            if not (found.messages and _BLOCK.fullmatch(line)):
                found.torn.append(line)
            continue
        message = line[prefix.end() :]
        if PREFIX.search(message):
            found.torn.append(line)
            continue
        if not _RULE.match(message):
            found.messages.append(message)
            continue
        step = next((n for n, form in enumerate(_STEPS) if form.fullmatch(message)), None)
        client = _CLIENT.search(message)
        if step is None or client is None:
            found.torn.append(line)
            continue
        found.messages.append(message)
        found.lines += 1
        _follow(found, client[0], step, message, last, said)
    found.unfinished = [client for client, step in last.items() if step != _ACCEPT_END]
    return found


def _follow(
    found: Account,
    client: str,
    step: int,
    message: str,
    last: dict[str, int],
    said: dict[str, set[str]],
) -> None:
    """Note the next line of a session."""
    if step in _NEXT[last.get(client, _ACCEPT_END)]:
        last[client] = step
        if step == _ACCEPT:
            said[client] = set()
        said[client].add(message)
        if step == _ACCEPT_END:
            found.sessions[client] += 1
    elif message in said.get(client, ()):
        found.duplicates.append(message)
    else:
        found.misplaced.append(message)


def is_part(part: Sequence[str], whole: Iterable[str]) -> bool:
    """Whether all of ``part`` stands in ``whole``, in that order."""
    rest = iter(whole)
    return all(message in rest for message in part)
