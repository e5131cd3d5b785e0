"""
Prints an explanation, as text for people and as an object for programs.

``docs/commands.rst`` documents the object's keys; ``version`` changes if one is removed or changes
its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dantetw.catalogue import PROGRAM
from dantetw.cli.explain.explanation import BLOCKED, AddressResult, Explanation, RuleResult
from dantetw.cli.explain.given import Client, NameAnswer
from dantetw.config.grammar import parse_tree
from dantetw.config.keywords.logging import log_words
from dantetw.config.lexer import Source
from dantetw.config.problems import visible
from dantetw.config.report import Report
from dantetw.policy import Policy, Rule, Where
from dantetw.rules.authentication import AuthCheck, AuthResult
from dantetw.rules.misses import is_near
from dantetw.rules.words import name_of, told_near, told_of
from dantetw.values import UNSPECIFIED, Cause, Command, Method, Verdict

#: Of what ``--json`` prints.
SCHEMA: Final = 1

#: Rules shown at most where many are as near.
_NEAREST: Final = 3

#: The text of each rule, by its place.
Texts = Mapping[Where, Sequence[str]]


def texts_of(data: bytes, file: str) -> Texts:
    """The lines of each rule in a file without errors."""
    source = Source.of(data, file)
    tree = parse_tree(source, Report(source), PROGRAM)
    return {
        block.head.where: [
            source.line(number).expandtabs()
            for number in range(block.head.where.line, block.close.where.line + 1)
        ]
        for block in tree.blocks
    }


def in_words(client: Client, outcome: Explanation, policy: Policy, texts: Texts) -> Iterator[str]:
    """The lines of an explanation, fit for a terminal."""
    for line in _lines(client, outcome, policy, texts):
        yield visible(line)


def _lines(client: Client, outcome: Explanation, policy: Policy, texts: Texts) -> Iterator[str]:
    yield result(outcome)
    yield f"asked: {_asked(client)}"
    yield "client rules:"
    yield from _fates(outcome.client)
    # A request may be refused in the name of the built-in rule with none asked, and says why.
    unasked = outcome.ending is not None and outcome.ending.text and not outcome.socks
    if outcome.socks_rule is not None and not outcome.unnegotiated and not unasked:
        if outcome.association is not None:
            yield f"its association is granted by {name_of(outcome.association)}"
        yield "socks rules:" if outcome.association is None else "socks rules, for a datagram:"
        yield from _fates(outcome.socks)
    rule = decisive(outcome)
    if rule.number:
        yield f"{name_of(rule)}:"
        yield from (f"  {line}" for line in texts.get(rule.where, ()))
    yield from _nearest(outcome)
    if outcome.answers:
        yield "looked up:"
        yield from (f"  {_answer(answer)}" for answer in outcome.answers)
    if outcome.assumed:
        yield "assumed:"
        yield from (f"  {_proof(*each)}" for each in outcome.assumed.items())
    if outcome.passed:
        who = f'user "{outcome.user.name}"' if outcome.user is not None else "no user"
        yield f"authenticated: {who}, method {_method(outcome)}"
        yield from _goes(client, outcome)
    for each in _rules(outcome):
        yield f"logged by {_short(each)}: {' '.join(log_words(each.log)) or 'nothing'}"
    limits = (f"{name} {seconds or 'none'}" for name, seconds in limits_of(outcome, policy))
    yield f"time limits in seconds: {', '.join(limits)}"


def _goes(client: Client, outcome: Explanation) -> Iterator[str]:
    target, source = outcome.target, outcome.source
    if outcome.addresses:
        yield "addresses, in the order in which they are tried until one answers:"
        yield from (f"  {_considered(each)}" for each in outcome.addresses)
    if client.command is not Command.BIND:
        yield f"goes to {target}" + (f" from {source}" if source else "")
        return
    anybody = target is None or target.host in UNSPECIFIED
    yield f"waits on {source} for {'anybody' if anybody else target}"
    yield "whoever comes is held against the socks rules once more, as bindreply"


def _considered(each: AddressResult) -> str:
    rule = each.rule
    if rule is not None and not each.why:
        return f"{each.target} from {each.source}: passed by {name_of(rule)}"
    if each.why == BLOCKED:
        what = name_of(rule) if rule is not None and rule.number else "the built-in rule 0"
        return f"{each.target} is not tried: blocked by {what}"
    return f"{each.target} is not tried: {each.why}"


def as_object(client: Client, outcome: Explanation, policy: Policy, texts: Texts) -> dict[str, Any]:
    """The explanation as a JSON object."""
    ending, user = outcome.ending, outcome.user
    return {
        "version": SCHEMA,
        "passed": outcome.passed,
        "result": result(outcome),
        "ending": None
        if ending is None
        else {
            "side": ending.side.word,
            "phase": ending.phase.word,
            "cause": ending.cause.word,
            "text": ending.text,
        },
        "asked": {
            "from": str(client.source),
            "internal": str(client.local),
            "to": str(client.target),
            "command": client.command.word,
            "proxyprotocol": client.proxy_protocol.word,
        },
        "rule": _place(decisive(outcome), texts),
        "association": None if outcome.association is None else _place(outcome.association, texts),
        "client_rules": [_fared(each, texts) for each in outcome.client],
        "socks_rules": [_fared(each, texts) for each in outcome.socks],
        "lookups": [
            {
                "name": answer.name,
                "answers": list(answer.found),
                "error": answer.error,
                "given": answer.given,
            }
            for answer in outcome.answers
        ],
        "assumed": [_proof(*each) for each in outcome.assumed.items()],
        "method": _method(outcome) if outcome.passed else None,
        "user": user.name if user is not None else None,
        "target": str(outcome.target) if outcome.passed else None,
        "source": outcome.source or None,
        "addresses": [
            {
                "target": str(each.target),
                "source": each.source or None,
                "tried": not each.why,
                "why": each.why,
                "rule": None if each.rule is None else _place(each.rule, texts),
            }
            for each in outcome.addresses
        ],
        "log": {each.kind.value: log_words(each.log) for each in _rules(outcome)},
        "limits": dict(limits_of(outcome, policy)),
    }


def result(outcome: Explanation) -> str:
    """One line: passed, or why not."""
    ending, rule = outcome.ending, decisive(outcome)
    if ending is None:
        return f"passed by {name_of(rule)}"
    if outcome.unnegotiated:
        wanted = " ".join(method.word for method in outcome.client_rule.socks_methods)
        return (
            f"blocked: SOCKS 4 cannot authenticate, and {name_of(outcome.client_rule)} asks for"
            f" socksmethod {wanted or '(none is set)'}"
        )
    if ending.text:
        return f"refused ({ending.phase.word}): {ending.text}"
    if ending.cause is Cause.BLOCKED and rule.number:
        return f"blocked by {name_of(rule)}"
    if ending.cause is Cause.BLOCKED:
        return f"blocked by the built-in rule 0: no {rule.kind.value} rule matches"
    return f"refused ({ending.phase.word}): {ending.cause.word}"


def decisive(outcome: Explanation) -> Rule:
    """The rule that decided last."""
    return outcome.socks_rule or outcome.client_rule


def limits_of(outcome: Explanation, policy: Policy) -> list[tuple[str, int]]:
    """The time limits that apply, by keyword, in seconds; 0: none."""
    first, last = outcome.client_rule, outcome.socks_rule
    negotiate = (first if first.number else policy).timeouts.negotiate
    limits = [("timeout.negotiate", negotiate)]
    if outcome.association is not None:
        limits.append(("timeout.io.udp", outcome.association.timeouts.io_udp))
    elif last is not None and outcome.passed:
        io = ("timeout.io.tcp", last.timeouts.io_tcp)
        limits += [("timeout.connect", last.timeouts.connect), io]
        limits.append(("timeout.tcp_fin_wait", last.timeouts.tcp_fin_wait))
    return limits


def _rules(outcome: Explanation) -> list[Rule]:
    both = (outcome.client_rule, outcome.socks_rule)
    return [rule for rule in both if rule is not None]


def _asked(client: Client) -> str:
    said = f"{client.proxy_protocol.word} {client.command.word} to {client.target}"
    user = f' by user "{client.user}"' if client.user else ""
    return f"{said}{user}, client {client.source} at {client.local}"


def _method(outcome: Explanation) -> str:
    method: Method = outcome.user.method if outcome.user is not None else outcome.method
    return method.word


def _short(rule: Rule) -> str:
    if not rule.number:
        return f"the built-in {rule.kind.value} rule"
    return f"{rule.kind.value}-rule #{rule.number}"


def _fates(fates: Sequence[RuleResult]) -> Iterator[str]:
    if not fates:
        yield "  there are none"
    for fared in fates:
        yield f"  {told_of(fared.tried)}"
        if is_near(fared.missed):
            yield f"    {told_near(fared.missed)}"


def _nearest(outcome: Explanation) -> Iterator[str]:
    """The pass rules with the fewest failed conditions, where no rule nearly matches."""
    if decisive(outcome).verdict is not Verdict.BLOCK or outcome.unnegotiated:
        return
    fates = outcome.client if outcome.socks_rule is None else outcome.socks
    passing = [fared for fared in fates if fared.tried.rule.verdict is Verdict.PASS]
    if not passing or any(is_near(fared.missed) for fared in passing):
        return
    least = min(len(fared.missed) for fared in passing)
    nearest = [fared for fared in passing if len(fared.missed) == least]
    yield "nearest:"
    for fared in nearest[:_NEAREST]:
        yield f"  {_all_missed(fared)}"
    if len(nearest) > _NEAREST:
        yield f"  and {len(nearest) - _NEAREST} more that are as near"


def _all_missed(fared: RuleResult) -> str:
    conditions = "; ".join(
        f"{each.what}: {each.tried.wanted}, but it is {each.tried.got}" for each in fared.missed
    )
    return f"{name_of(fared.tried.rule)}: {conditions}"


def _answer(answer: NameAnswer) -> str:
    found = ", ".join(answer.found) or answer.error or "nothing"
    return f"{answer.name}: {found} ({'given' if answer.given else 'asked of the system'})"


def _proof(check: AuthCheck, proof: AuthResult) -> str:
    match check.method:
        case Method.RFC931:
            named = f'names "{proof.name}"' if proof.name is not None else "names nobody"
            return f"the client's host {named} (rfc931)"
        case Method.USERNAME:
            return "the password is right (username)"
        case _:
            what = "the name and the password" if check.named else "the client's address"
            return f'PAM\'s service "{check.service}" accepts {what}'


def _place(rule: Rule, texts: Texts) -> dict[str, Any]:
    return {
        "kind": rule.kind.value,
        "number": rule.number,
        "verdict": rule.verdict.word,
        "file": rule.where.file if rule.number else None,
        "line": rule.where.line if rule.number else None,
        "text": "\n".join(texts.get(rule.where, ())),
    }


def _fared(fared: RuleResult, texts: Texts) -> dict[str, Any]:
    return _place(fared.tried.rule, texts) | {
        "matches": not fared.tried.failed,
        "near": is_near(fared.missed),
        "failed": [
            {
                "condition": each.what,
                "line": each.tried.where.line,
                "wanted": each.tried.wanted,
                "got": each.tried.got,
            }
            for each in fared.missed
        ],
    }
