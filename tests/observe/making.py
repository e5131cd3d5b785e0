"""Events for tests: functions with one default per field."""

from __future__ import annotations

import errno
from dataclasses import replace

from dantetw.observe.events import Counts, Ended, Path
from dantetw.observe.facts import Times
from dantetw.policy import BUILT_IN, Address, HostKind, Rule, RuleKind
from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Method,
    Phase,
    Protocol,
    Side,
    User,
    Verdict,
)

ALL = LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR | LOG_IOOP
ANYWHERE = Address(HostKind.ANY, "0/0", BUILT_IN)


def endpoint(text: str) -> Endpoint:
    """The endpoint that Dante writes so: ``127.0.0.1.80``, ``::1.80``, ``localhost.80``."""
    host, _, port = text.rpartition(".")
    if ":" in host:
        return Endpoint(host, int(port), Family.IPV6)
    numeric = host.replace(".", "").isdigit()
    return Endpoint(host, int(port), Family.IPV4 if numeric else Family.NAME)


def path(client: str, far: str = "") -> Path:
    """A path from ``"CLIENT LOCAL"`` and ``"SOURCE TARGET"``."""
    outer, local = client.split()
    if not far:
        return Path(endpoint(outer), endpoint(local))
    source, target = far.split()
    return Path(endpoint(outer), endpoint(local), None, endpoint(source), endpoint(target))


def rule(
    number: int = 1,
    log: int = ALL,
    verdict: Verdict = Verdict.PASS,
    kind: RuleKind = RuleKind.SOCKS,
) -> Rule:
    """A rule that matches everything."""
    return Rule(kind, number, verdict, BUILT_IN, ANYWHERE, ANYWHERE, log=log)


#: The rule that is used where none matches; without ``debug`` it logs nothing.
RULE_0 = rule(0, 0, Verdict.BLOCK)

CLIENT = "127.0.0.1.37098 127.0.0.1.12001"
TARGET = "127.0.0.1.34019 127.0.0.1.12101"
CLOSED = Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED)


def counts(to_client: int, from_client: int, to_target: int, from_target: int) -> Counts:
    """Counts in the order of the ``]`` line."""
    return Counts(to_client, from_client, to_target, from_target)


def ended(
    ending: Ending = CLOSED,
    way: Path | None = None,
    client_rule: Rule | None = None,
    socks_rule: Rule | None = None,
    seconds: float = 0.0,
    **more: object,
) -> Ended:
    """The end of a CONNECT of 6 bytes there and back."""
    event = Ended(
        1,
        client_rule or rule(kind=RuleKind.CLIENT),
        socks_rule or rule(),
        None,
        path(CLIENT, TARGET) if way is None else way,
        Times(accepted=100.0, now=100.0 + seconds),
        ending.phase,
        Command.CONNECT,
        Protocol.TCP,
        None,
        None,
        (),
        None,
        "",
        (),
        ending,
        counts(6, 6, 6, 6),
    )
    return replace(event, **more)  # type: ignore[arg-type]


BOB = User(Method.USERNAME, "goldenbob")
ALICE = User(Method.PAM_USERNAME, "alice")
ROOT = User(Method.RFC931, "root")


def refused(side: Side, phase: Phase, cause: Cause, text: str = "", number: int = 0) -> Ending:
    """An ending before a session was established."""
    return Ending(side, phase, cause, number, text)


def negotiating(text: str, cause: Cause = Cause.PROTOCOL) -> Ending:
    """An ending by what the client sent."""
    return refused(Side.CLIENT, Phase.NEGOTIATE, cause, text)


ORDERLY = [Ending(side, Phase.RELAY, Cause.CLOSED) for side in (Side.CLIENT, Side.TARGET)]
RESET = [
    Ending(side, Phase.RELAY, Cause.ERROR, errno.ECONNRESET) for side in (Side.CLIENT, Side.TARGET)
]
CLOSED_BY_TARGET = ORDERLY[1]
IDLE = Ending(Side.US, Phase.RELAY, Cause.TIMEOUT)
BLOCKED = refused(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED)

UNRESOLVED = refused(
    Side.TARGET,
    Phase.RESOLVE,
    Cause.UNRESOLVED,
    'could not resolve hostname "NOSUCHDNSNAME": Name or service not known',
)
SUSPICIOUS = (
    "client is requesting a connection to the same address we listen to new clients on: "
    "127.0.0.1.12001.  Very suspicious.   For security reasons that is not allowed, as otherwise "
    "one client could trivially use up all our resources by going into a loop sending a stream of "
    "requests that all asked us to connect to ourselves"
)
UNREACHABLE = "connect(2) to 10.95.0.5.80 from 10.99.0.1.33442 failed: Network is unreachable"


def early(
    client: str, ending: Ending, number: int = 1, seconds: float = 0.0, **more: object
) -> Ended:
    """A session that ended before a request was understood."""
    event = ended(ending, path(client), rule(number), command=None, counts=Counts())
    times = Times(100.0, 100.0 + seconds)
    return replace(event, socks_rule=None, times=times, **more)  # type: ignore[arg-type]


def unasked(client: str, ending: Ending) -> Ended:
    """A request that failed before a socks rule was looked for."""
    return replace(ended(ending, path(client), counts=Counts()), socks_rule=None)
