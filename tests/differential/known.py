"""
Differences that are there on purpose; each is a row of ``docs/differences.rst``.

A row explains lines: those of one server that the other has in another form, or not at all.  A
difference is known if nothing is left when all rows have taken what they explain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.differential.comparing import Difference
from tests.differential.requests import ASSOCIATE, CONNECT
from tests.differential.world import STRAY

_COUNTS = re.compile(r"\b\d+(/\d+)?(?= ->|:|, | -> )|(?<=-> )\d+(/\d+)?(?=[:,])")
_BOTH = "both.example"


@dataclass(frozen=True, slots=True)
class Row:
    """
    A reason for differences.

    :ivar title: the first column of the row.
    :ivar explain: takes the lines it explains out of a difference.
    """

    title: str
    explain: Callable[[Difference], Difference]


def why(difference: Difference) -> list[str]:
    """The titles of the rows that explain a difference; none if it is not known."""
    titles = []
    for row in ROWS:
        left = row.explain(difference)
        if (left.danted, left.ours) != (difference.danted, difference.ours):
            titles.append(row.title)
            difference = left
        if not difference.danted and not difference.ours:
            return titles
    return []


# How rows explain.


def _only(danted: str = "", ours: str = "") -> Callable[[Difference], Difference]:
    """Lines that only one of the servers has."""

    def explain(difference: Difference) -> Difference:
        return replace(
            difference,
            danted=_without(danted, difference.danted),
            ours=_without(ours, difference.ours),
        )

    return explain


def _without(pattern: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if not pattern or not re.search(pattern, line))


def _same(
    form: Callable[[str], str], where: Callable[[Difference], bool] | None = None
) -> Callable[[Difference], Difference]:
    """Lines that are the same in some form."""

    def explain(difference: Difference) -> Difference:
        if where is not None and not where(difference):
            return difference
        danted, ours = list(difference.danted), list(difference.ours)
        for line in difference.danted:
            other = next((each for each in ours if form(each) == form(line)), None)
            if other is not None:
                danted.remove(line)
                ours.remove(other)
        return replace(difference, danted=tuple(danted), ours=tuple(ours))

    return explain


def _all(where: Callable[[Difference], bool]) -> Callable[[Difference], Difference]:
    """Everything, under a condition."""

    def explain(difference: Difference) -> Difference:
        return replace(difference, danted=(), ours=()) if where(difference) else difference

    return explain


def _then(*steps: Callable[[Difference], Difference]) -> Callable[[Difference], Difference]:
    def explain(difference: Difference) -> Difference:
        for step in steps:
            difference = step(difference)
        return difference

    return explain


# Conditions.


def _associates(difference: Difference) -> bool:
    return difference.asking.command == ASSOCIATE


def _other_zeros(difference: Difference) -> bool:
    """All zeros of another family are announced."""
    asking = difference.asking
    zeros = asking.host in ("0.0.0.0", "::") and not asking.named
    return _associates(difference) and zeros and (":" in asking.host) != (":" in asking.client)


def _name_announced(difference: Difference) -> bool:
    """A name is announced that one of the servers does not find, or whose datagrams are served."""
    if not (_associates(difference) and difference.asking.named):
        return False
    lines = (*difference.danted, *difference.ours)
    unfound = any(
        "could not resolve hostname" in line or "reply 4 refused" in line
        for line in difference.danted
    )
    other = any("no IPv" in line and "found amongst" in line for line in lines)
    return unfound or other or not any("refused" in line for line in lines)


def _names_both(difference: Difference) -> bool:
    asking = difference.asking
    targets = [host for host, _ in asking.datagrams] if _associates(difference) else [asking.host]
    return _BOTH in targets


def _without_none(difference: Difference) -> bool:
    """SOCKS 4 is not served, and there is a client rule that asks for a name and a password."""
    unserved = any("socks-rule #0: no rules matched" in line for line in difference.ours)
    client_rules = difference.configuration.partition("\nsocks ")[0]
    asks = re.search(r"^ *socksmethod: username$", client_rules, re.M)
    return difference.asking.version == 4 and unserved and asks is not None


def _strays(difference: Difference) -> bool:
    return any(port == STRAY for _, port in difference.asking.datagrams)


def _numeric_name(difference: Difference) -> bool:
    asking = difference.asking
    numeric = re.fullmatch(r"[\d.]+|[\da-f:]+", asking.host) is not None
    return asking.command == CONNECT and asking.named and numeric


def _answers_of_other_family(difference: Difference) -> Difference:
    """Answers of a second family, which are another rule's with Dante, and what follows of that."""
    asking = difference.asking
    numeric = [host for host, _ in asking.datagrams if re.fullmatch(r"[\d.:a-f]+", host)]
    named = len(numeric) < len(asking.datagrams)
    if not _associates(difference) or not (named or len({":" in host for host in numeric}) > 1):
        return difference
    lines = r"udp/udpreply -: |^answers: "
    difference = _only(danted=lines, ours=lines)(difference)
    return _same(_no_last)(difference)


def _lost_answers(difference: Difference) -> Difference:
    """Answers that only dantetw has passed on, where there are several targets."""
    if not _several(difference):
        return difference
    return _only(danted=r"^answers: $", ours=r"^answers: \S+ \S+$|pass.*: udp/udpreply -: ")(
        difference
    )


def _several(difference: Difference) -> bool:
    return len(set(difference.asking.datagrams)) > 1


# Forms.


def _no_counts(line: str) -> str:
    return _COUNTS.sub("N", line)


def _accept_counts(line: str) -> str:
    return _no_counts(line) if "tcp/accept ]" in line else line


def _refused(line: str) -> str:
    """A refused association's lines without who asked, and without what the text says of it."""
    line = re.sub(r": announced address [\w.:]+?\.\d+(?=$|: )", "", line)
    return re.sub(r"(block\(\d+\): udp/udpassociate \]: )([^ @]+@)?\S+ \S+?(?=$|: )", r"\1", line)


def _no_target(line: str) -> str:
    return re.sub(r"(udpassociate \]: .*, \S+ -> \S+) \S+ ->", r"\1 TARGET ->", line)


def _no_source(line: str) -> str:
    return re.sub(r"(block\(\d+\): udp/udpassociate -: \S+ \S+ ->) \S+", r"\1 SOURCE", line)


def _no_rule(line: str) -> str:
    if "could not resolve target address" in line or "packet for IPv" in line:
        return re.sub(r"block\(\d+\)", "block(N)", line)
    return line


def _no_reason(line: str) -> str:
    return line.replace(": blocked.  Session", ": local client closed.  Session")


def _no_last(line: str) -> str:
    return _no_reason(_no_target(_no_counts(line)))


_UNASKED = r"(udp/udpassociate -: .*(could not resolve target address|packet for IPv))"

ROWS = (
    Row(
        "``warning: addrmatch(): cgetaddrinfo(NAME) failed: …`` for a name in a rule",
        _only(danted=r"^warning: addrmatch\(\): cgetaddrinfo"),
    ),
    Row(
        "UDP: a client that is connected by IPv6 announces ``0.0.0.0``, or by IPv4 ``::``",
        _all(_other_zeros),
    ),
    Row("UDP: the line of an association that is refused", _same(_refused, _associates)),
    Row("UDP: an announced address", _only(ours="expected udp packet from clientaddress")),
    Row("UDP: the last datagram was not relayed", _same(_no_reason, _associates)),
    Row("UDP: the counts in ``tcp/accept ]``", _same(_accept_counts, _associates)),
    Row("UDP: the target in the last line, with ``udp.connectdst: no``", _same(_no_target)),
    Row("UDP: targets that refuse, where they share a socket", _only(ours="\\(delayed error\\)")),
    Row("UDP: a rule in the line of a datagram that no rule was asked about", _same(_no_rule)),
    Row(
        "UDP: a rule in the line of a datagram that no rule was asked about",
        _only(danted=_UNASKED, ours=_UNASKED),
    ),
    Row("UDP: datagrams to a family of which none is relayed", _same(_no_source, _associates)),
    Row(
        "UDP: datagrams to a family of which none is relayed",
        _only(danted=r"udpassociate \]: .*, 0/0 -> \S+ 0\.0\.0\.0\.0 -> 0/0: "),
    ),
    Row(
        "UDP: an answer from a host that the client has sent nothing",
        _then(
            _same(lambda line: re.sub(r"(, )?\S+ stray [^,]+", "", line), _strays),
            _same(_no_last, _strays),
            _only(danted=r"udp/udpreply -: \S+\.7002 "),
        ),
    ),
    Row(
        "UDP: answers of a target, after one of the other family",
        _answers_of_other_family,
    ),
    Row(
        "UDP: several targets",
        _then(_lost_answers, _same(_no_last, _several)),
    ),
    Row(
        "Names that are numbers in disguise: ``0x7f.1``, ``127.1``, ``2130706433``",
        _all(_numeric_name),
    ),
    # These explain all that is left.
    Row("SOCKS 4 where the client rule's ``socksmethod`` lacks ``none``", _all(_without_none)),
    Row("UDP: a host name is announced", _all(_name_announced)),
    Row(
        "A name that has addresses of both families, with ``external`` of one",
        _all(lambda it: _names_both(it) and it.families == 1),
    ),
    Row("The addresses of such a name, and rules", _all(_names_both)),
)
