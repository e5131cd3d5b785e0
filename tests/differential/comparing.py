"""
What differs between two outcomes of the same requests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.differential.requests import ANNOUNCED_BASE, TCP_BASE, UDP_BASE, Asking
from tests.differential.running import Outcome
from tests.differential.world import CHOSEN

#: Lines about the server itself.
_ITSELF = re.compile(r"exiting on signal|shutting down|^info: process_")
_PREFIX = re.compile(r"^.*?\[\d+\]: ")
_CHOSEN = re.compile(r"\.(\d{5})\b")
_DURATION = re.compile(r"duration: \d+s")


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One request that became something else.

    :ivar danted: what each line or reply was with Dante, where it was not the same; ``ours``:
        likewise.
    :ivar configuration: its text.
    """

    asking: Asking
    danted: tuple[str, ...]
    ours: tuple[str, ...]
    configuration: str

    @property
    def families(self) -> int:
        """How many families the servers go out by."""
        return self.configuration.count("external: ")

    def __str__(self) -> str:
        lines = [str(self.asking)]
        lines += [f"    danted: {line}" for line in self.danted]
        lines += [f"    ours:   {line}" for line in self.ours]
        return "\n".join(lines)


def compare(
    plan: Sequence[Asking], danted: Outcome, ours: Outcome, configuration: str
) -> list[Difference]:
    """
    The requests with different replies, answers or lines.

    :param configuration: its text.
    """
    theirs_of, ours_of = _told(plan, danted), _told(plan, ours)
    found = []
    for asking in plan:
        theirs, own = Counter(theirs_of[asking.number]), Counter(ours_of[asking.number])
        if theirs != own:
            found.append(
                Difference(
                    asking,
                    tuple(line for line in theirs_of[asking.number] if theirs[line] > own[line]),
                    tuple(line for line in ours_of[asking.number] if own[line] > theirs[line]),
                    configuration,
                )
            )
    return found


def strays(plan: Sequence[Asking], outcome: Outcome) -> list[str]:
    """Lines that belong to no request."""
    return _told(plan, outcome)[-1]


def _told(plan: Sequence[Asking], outcome: Outcome) -> dict[int, list[str]]:
    """All that is told of each request, and by -1 what is told of none."""
    told: dict[int, list[str]] = {-1: []}
    keys: dict[str, int] = {}
    for asking in plan:
        number = asking.number
        seen = outcome.seen[number]
        replies = ", ".join(seen["replies"]).replace("ConnectionResetError", "eof")
        told[number] = [f"client: {replies}"]
        told[number] += [f"answers: {', '.join(sorted(each))}" for each in seen["answers"]]
        keys[f"{asking.client}.{TCP_BASE + number}"] = number
        for base in (UDP_BASE, ANNOUNCED_BASE):
            keys[f".{base + number}"] = number
        if seen["bound"]:
            keys.setdefault(seen["bound"], number)
    last = -1
    # What comes before is about the configuration.
    log = outcome.log.partition(" running\n")[2].replace(f"{outcome.folder}/", "")
    for line in re.split(r"\n(?=\w{3} +\d+ [\d:]+ \()", log.rstrip("\n")):
        line = _PREFIX.sub("", line, count=1)
        if _ITSELF.search(line):
            continue
        last = _whose(line, keys, last)
        told[last].append(_masked(line))
    return told


def _whose(line: str, keys: dict[str, int], last: int) -> int:
    """The request that a line is about; if it names none, that of the line before."""
    for word in re.findall(r"[^ @]+", line):
        word = word.rstrip(":,.")
        if word in keys:
            return keys[word]
        if (found := re.search(r"\.\d+$", word)) and found[0] in keys:
            return keys[found[0]]
    return last


def _masked(line: str) -> str:
    """A line without what changes from run to run: ports that the kernel chose, and seconds."""
    return _CHOSEN.sub(_port, _DURATION.sub("duration: Ns", line))


def _port(found: re.Match[str]) -> str:
    return ".PORT" if int(found[1]) >= CHOSEN else found[0]
