"""A machine that is the same everywhere, and short ways to parse for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dantetw.catalogue import PROGRAM
from dantetw.config import UNSUPPORTED, Parsed, Policy, parse
from dantetw.config.machine import Machine, Transport
from dantetw.config.problems import Problem
from dantetw.values import Severity


class FakeSystem:
    """A machine with interfaces lo and eth0, two users and a few services."""

    effective_root = True

    interfaces: Mapping[str, Sequence[str]] = {
        "lo": ("127.0.0.1", "::1"),
        "eth0": ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"),
    }
    names: Mapping[str, Sequence[str]] = {"gate.example": ("192.0.2.1",)}
    services: Mapping[tuple[str, str], int] = {
        ("http", "tcp"): 80,
        ("domain", "tcp"): 53,
        ("domain", "udp"): 53,
        ("tftp", "udp"): 69,
    }

    def addresses_of(self, interface: str) -> Sequence[str]:
        return self.interfaces.get(interface, ())

    def all_addresses(self) -> Sequence[str]:
        return [address for addresses in self.interfaces.values() for address in addresses]

    def can_bind(self, address: str) -> bool:
        return address in self.all_addresses() or address.startswith("127.")

    def service_port(self, name: str, protocol: Transport) -> int | None:
        for transport in (protocol,) if protocol else ("tcp", "udp"):
            if (name, transport) in self.services:
                return self.services[name, transport]
        return None

    def user_exists(self, name: str) -> bool:
        return name in ("root", "nobody")

    def has_pam(self) -> bool:
        return True

    def resolve(self, name: str) -> Sequence[str]:
        return self.names.get(name, ())


#: The type checker sees here that the fake is a System.
SYSTEM: Machine = FakeSystem()

#: A complete file but for what a test is about.
HEAD = """\
logoutput: stderr
internal: 127.0.0.1 port = 1080
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
"""
RULES = """\
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
"""


def read(
    text: str | bytes, unsupported: Mapping[str, str] = UNSUPPORTED, system: Machine = SYSTEM
) -> Parsed:
    """Parse a whole file."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return parse(data, "sockd.conf", system, PROGRAM, unsupported)


def with_globals(*lines: str, unsupported: Mapping[str, str] = UNSUPPORTED) -> Parsed:
    """Parse a file with these global settings, on line 8 and after."""
    return read(HEAD + "\n".join(lines) + "\n" + RULES, unsupported)


def with_rules(text: str, head: str = HEAD) -> Parsed:
    """Parse a file with these rules, from line 8 on."""
    return read(head + text + "\n")


def policy_of(parsed: Parsed) -> Policy:
    """The policy, or a failure that shows the problems."""
    if parsed.policy is None:
        raise AssertionError("\n".join(problem.render() for problem in parsed.problems))
    return parsed.policy


def errors(parsed: Parsed) -> list[str]:
    """Line, column and text of each error."""
    return [
        f"{problem.where.line}:{problem.where.column} {problem.text}"
        for problem in parsed.problems
        if problem.is_error
    ]


def warnings(parsed: Parsed, *, ours: bool = False) -> list[str]:
    """The texts of Dante's warnings, or of ours."""
    # Notices of our own are remarks; Dante's count as warnings here.
    return [
        p.text for p in parsed.problems if not p.is_error and p.ours is ours and not is_remark(p)
    ]


def is_remark(problem: Problem) -> bool:
    """Whether only ``sockd check`` shows it."""
    return problem.ours and problem.severity is Severity.NOTICE


def remarks(parsed: Parsed) -> list[str]:
    """Line, column and text of what only ``sockd check`` shows."""
    return [f"{p.where.line}:{p.where.column} {p.text}" for p in parsed.problems if is_remark(p)]
