"""
Members of JSON objects, of the values that events are made of.
"""

from __future__ import annotations

import errno
from dataclasses import fields
from enum import Enum
from typing import Any

from dantetw.escaping import escape
from dantetw.observe.events import Attempt, Traffic
from dantetw.observe.formats.tcpinfo import table
from dantetw.policy import Rule
from dantetw.values import NOWHERE, Counts, Ending, Endpoint, Path, User


def rule_of(rule: Rule) -> dict[str, Any]:
    """A rule, by its number and place."""
    return {
        "kind": rule.kind.value,
        "number": rule.number,
        "verdict": rule.verdict.word,
        "file": rule.where.file,
        "line": rule.where.line,
    }


def place_of(endpoint: Endpoint | None) -> dict[str, Any] | None:
    """A host and a port; None: there is none."""
    if endpoint is None or (endpoint.host == NOWHERE.host and not endpoint.port):
        return None
    return {"host": endpoint.host, "port": endpoint.port}


def ends_of(path: Path) -> dict[str, Any]:
    """Who talks to whom."""
    return {
        "client": place_of(path.client),
        "local": place_of(path.local),
        "source": place_of(path.source),
        "target": place_of(path.target),
        "user": name_of(path.user),
        "client_user": name_of(path.client_user),
    }


def ending_of(ending: Ending, text: str) -> dict[str, str | None]:
    """How a session ended; ``text`` is why, in words."""
    return {
        "side": ending.side.word,
        "phase": ending.phase.word,
        "cause": ending.cause.word,
        "errno": errno_of(ending.errno),
        "text": text,
    }


def traffic_of(traffic: Traffic) -> dict[str, Any]:
    """The datagrams by one way out."""
    return {
        **ends_of(traffic.path),
        "bytes": counts_of(traffic.counts),
        "packets": counts_of(traffic.packets),
    }


def attempt_of(attempt: Attempt) -> dict[str, Any]:
    """One of several addresses of a target's name."""
    return {
        "target": place_of(attempt.target),
        "source": place_of(attempt.source),
        "rule": None if attempt.rule is None else rule_of(attempt.rule),
        "outcome": attempt.outcome.word,
        "errno": errno_of(attempt.errno),
        "began": round(attempt.began, 6),
        "seconds": round(attempt.seconds, 6),
    }


def errno_of(number: int) -> str | None:
    """The name of an error number; None: 0."""
    return errno.errorcode.get(number, str(number)) if number else None


def name_of(user: User | None) -> str | None:
    """The name of a user."""
    return None if user is None else user.name


def word_of(member: Any) -> str | None:
    """An enumeration's word; None: there is none."""
    return None if member is None else member.word


def counts_of(counts: Counts) -> dict[str, int]:
    """Bytes or datagrams."""
    return {
        "to_client": counts.to_client,
        "from_client": counts.from_client,
        "to_target": counts.to_target,
        "from_target": counts.from_target,
    }


def tcpinfo_of(sockets: tuple[bytes, bytes]) -> dict[str, Any]:
    """What the kernel says of the client's and the target's connection."""
    client, target = sockets
    return {"client": table(client), "target": table(target)}


def plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    match value:
        case float():
            return round(value, 6)
        case None | bool() | int() | str():
            return value.value if isinstance(value, Enum) else value
        case Endpoint():
            return place_of(value)
        case Rule():
            return rule_of(value)
        case Enum():
            return value.value
        case bytes():
            return escape(value)
        case tuple() | list() | frozenset() | set():
            return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return str(value)
