"""Properties of the configuration language, looked for with hypothesis."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.keywords.logging import LOG_WORDS
from dantetw.config.keywords.table import KEYWORDS
from dantetw.policy import ALL_PORTS, Address, HostKind, PortSet, Rule
from dantetw.values import Command, Family, Protocol, Verdict
from tests.config.fakes import HEAD, SYSTEM, policy_of, read

#: Enough examples for a change to be noticed, few enough not to be.
QUICK = settings(max_examples=120, deadline=None, derandomize=True, database=None)

WORDS = (
    "client pass {", "socks block {", "socks pass", "pass {", "route {", "monitor {", "}", "{",
    "from:", "to:", "via:", "0/0", "10.0.0.0/8", "::/0", "lo", ".", "port", "=", "80", "-", ":",
    "1h", "08", "\n", "\n", "\\\n", "#", "\t", "\r\n", "\0", "\xe9", "none", "username", "error",
    "connect", "bob", "/", "%", "[::1]", "0x", "syslog/", "yes", "any", "rr/5", "in", "{{ x }}",
    "fe80::1%lo/64", "255.255.0.0", "\x1b", "internal.tcp.tcp_nodelay:", "external.ip.99:",
    "redirect from:", *(f"{keyword.name}:" for keyword in KEYWORDS),
)  # fmt: skip

texts = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(WORDS), max_size=40).map(lambda words: " ".join(words).encode()),
    st.lists(st.sampled_from(WORDS), max_size=40).map(lambda words: "".join(words).encode()),
    st.lists(st.sampled_from(WORDS), max_size=25).map(
        lambda words: (HEAD + "socks pass { from: 0/0 to: 0/0 " + " ".join(words)).encode()
    ),
)


class AnyBytesTests(SynchronousTestCase):
    """Whatever the bytes."""

    @settings(QUICK, max_examples=400)
    @given(texts)
    def test_never_raises(self, text: bytes) -> None:
        """Any bytes give a policy or errors, whose places are inside the file."""
        parsed = read(text, {})
        failed = any(problem.is_error for problem in parsed.problems)
        self.assertEqual(parsed.policy is None, failed)
        lines = text.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
        for problem in parsed.problems:
            self.assertTrue(problem.one_line().isprintable())
            problem.render()
            if problem.where.line:
                self.assertLessEqual(problem.where.line, len(lines))
                line = lines[problem.where.line - 1]
                self.assertLessEqual(problem.where.column, len(line) + 1)
                self.assertIn(problem.token.split("\n")[0].strip("\r"), line)


def host_text(address: Address) -> str:
    """An address as somebody would write it."""
    if address.kind is HostKind.NET and address.family is Family.IPV4:
        number = ".".join(str(byte) for byte in address.network.to_bytes(4, "big"))
        return f"{number}/{bin(address.mask).count('1')}"
    if address.kind is HostKind.NET:
        pieces = [f"{address.network >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
        return f"{':'.join(pieces)}/{bin(address.mask).count('1')}"
    return {
        HostKind.ANY: "0/0",
        HostKind.NAME: address.name,
        HostKind.INTERFACE: address.name,
        HostKind.DOMAIN: f".{address.name}",
    }[address.kind]


@st.composite
def nets(draw: st.DrawFn) -> Address:
    """A net of either family, its host bits cleared; never one of IPv4-mapped addresses."""
    family, bits = draw(st.sampled_from(((Family.IPV4, 32), (Family.IPV6, 128))))
    length = draw(st.integers(0, bits))
    mask = ((1 << bits) - 1) ^ ((1 << (bits - length)) - 1)
    number = draw(st.integers(0, (1 << bits) - 1)) & mask
    if bits == 128 and number >> 32 == 0xFFFF:
        number = 0
    where = policy_of(read(HEAD)).internal[0].where
    return Address(HostKind.NET, "", where, family, number, mask)


@st.composite
def addresses(draw: st.DrawFn) -> tuple[Address, str]:
    """An address condition and its text."""
    where = policy_of(read(HEAD)).internal[0].where
    label = st.text(string.ascii_lowercase + string.digits, min_size=2, max_size=8)
    name = "h" + draw(label) + ".example"
    address = draw(
        st.one_of(
            nets(),
            st.just(Address(HostKind.ANY, "", where)),
            st.just(Address(HostKind.NAME, "", where, name=name)),
            st.just(Address(HostKind.DOMAIN, "", where, name=name)),
            st.just(Address(HostKind.INTERFACE, "", where, name="eth0")),
        )
    )
    low, high = sorted((draw(st.integers(0, 65535)), draw(st.integers(0, 65535))))
    ports, text = draw(
        st.sampled_from(
            (
                (ALL_PORTS, ""),
                (PortSet(low, low), f" port = {low}"),
                (PortSet(low, low, outside=True), f" port ne {low}"),
                (PortSet(low, high), f" port {low} - {high}"),
                (PortSet(low, 65535), f" port ge {low:#x}"),
                (PortSet(0, high - 1), f" port<{high}"),
            )
        )
    )
    return (
        Address(address.kind, "", where, address.family, address.network, address.mask,
                address.name, ports),
        host_text(address) + text,
    )  # fmt: skip


def meaning(address: Address) -> tuple[object, ...]:
    """All of an address but its text and place."""
    ports = (address.ports.low, address.ports.high, address.ports.outside)
    return (address.kind, address.family, address.network, address.mask, address.name, ports)


class RoundTripTests(SynchronousTestCase):
    """A policy written down and read again."""

    @QUICK
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(list(Verdict)),
                addresses(),
                addresses(),
                st.sets(st.sampled_from(("connect", "error", "data", "tcpinfo"))),
                st.sets(st.sampled_from([c for c in Command if c is not Command.ACCEPT])),
                st.integers(0, 2**31 - 1),
                st.sampled_from((" ", "\n", " # }\n", " \\\n ")),
            ),
            max_size=4,
        )
    )
    def test_rules(self, drawn: list[tuple[Verdict, tuple[Address, str], tuple[Address, str],
                                           set[str], set[Command], int, str]]) -> None:  # fmt: skip
        """Rules come back as what they were written from, however they are laid out."""
        text = HEAD
        for verdict, (_, source), (_, target), log, commands, seconds, gap in drawn:
            text += f"socks {verdict.value} {{{gap}from: {source}{gap}to: {target}{gap}"
            text += f"timeout.io.tcp: {seconds}\n"
            if log:
                text += f"log: {' '.join(sorted(log))}\n"
            for command in sorted(commands, key=lambda c: c.value):
                text += f"command: {command.value}\n"
            text += "}\n"
        rules: tuple[Rule, ...] = policy_of(read(text)).socks_rules
        self.assertEqual(len(rules), len(drawn))
        for rule, (verdict, (source, _), (target, _), log, commands, seconds, _) in zip(
            rules, drawn, strict=True
        ):  # fmt: skip
            self.assertIs(rule.verdict, verdict)
            self.assertEqual(meaning(rule.source), meaning(source))
            self.assertEqual(meaning(rule.target), meaning(target))
            self.assertEqual(rule.log, sum(LOG_WORDS[word] for word in log))
            self.assertEqual(rule.timeouts.io_tcp, seconds)
            if commands:
                self.assertEqual(rule.commands, commands)
            else:
                self.assertEqual(rule.protocols, set(Protocol))

    @QUICK
    @given(st.integers(0, 2**31 - 1), st.sampled_from(("{}", "{:#x}", "{:#X}", "0{:o}")))
    def test_numbers(self, number: int, form: str) -> None:
        """A number is the same in every base."""
        text = HEAD + f"timeout.connect: {form.format(number)}\n"
        self.assertEqual(policy_of(read(text)).timeouts.connect, number)

    def test_system(self) -> None:
        """The interface of these tests exists on their machine."""
        self.assertTrue(SYSTEM.addresses_of("eth0"))
