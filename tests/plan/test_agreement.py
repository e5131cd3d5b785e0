"""A session and ``sockd explain`` agree, for random policies and requests."""

from __future__ import annotations

import socket
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.addresses import number_of
from dantetw.cli.explain.explanation import Explanation, explain
from dantetw.cli.explain.given import Client, GivenMachine, GivenNames
from dantetw.plan.case import Case
from dantetw.plan.datagram import DatagramPlan
from dantetw.plan.outcome import Plan
from dantetw.policy import Policy
from dantetw.session.datagramplans import DatagramPlans
from dantetw.session.session import Session
from dantetw.values import Command, Drop, Endpoint, Family, Method, ProxyProtocol
from tests.config.test_properties import QUICK
from tests.differential.requests import ASSOCIATE, BIND, Asking, request
from tests.differential.rules import configuration
from tests.differential.world import HOSTS, INTERNAL, PORT, TARGETS
from tests.differential.world import NAMES as TARGET_NAMES
from tests.session.world import COMMANDS, Machine, World, compiled

_COMMANDS = {BIND: Command.BIND, ASSOCIATE: Command.UDPASSOCIATE}


def _hosts() -> dict[str, list[str]]:
    """The addresses of each name; targets have several, of which rules pass some."""
    found: dict[str, list[str]] = {}
    for line in HOSTS.splitlines():
        address, name = line.split()
        found.setdefault(name, []).append(address)
    for name in TARGET_NAMES:
        found[name] += [INTERNAL[0], *(each for each in TARGETS if each not in found[name])]
    return found


ADDRESSES = _hosts()
NAMES = {address: name for name in reversed(ADDRESSES) for address in ADDRESSES[name]}


def _endpoint(host: str, port: int, named: bool = False) -> Endpoint:
    """An endpoint; ``named``: a name, even if it looks like an address."""
    family, _ = (Family.NAME, 0) if named else number_of(host)
    if ":" in host and not named:
        family = Family.IPV6
    return Endpoint(host, port, family)


def client_of(asking: Asking) -> Client:
    """The client of ``sockd explain`` that asks for the same; of UDP the first datagram."""
    target = _endpoint(asking.host, asking.port, asking.named)
    if asking.command == ASSOCIATE:
        host, port = asking.datagrams[0]
        target = _endpoint(host, port, number_of(host)[0] is Family.NAME)
    logs_in = asking.version == 5 and 2 in asking.methods
    return Client(
        _endpoint(asking.client, 20000 + asking.number),
        _endpoint(asking.local, PORT),
        target,
        _COMMANDS.get(asking.command, Command.CONNECT),
        ProxyProtocol.SOCKS_V4 if asking.version == 4 else ProxyProtocol.SOCKS_V5,
        Method.USERNAME if logs_in else Method.NONE,
        user=asking.user if logs_in else "",
    )


def unknown(*_: Any) -> Any:
    """A system that knows no name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def explained(policy: Policy, client: Client) -> Explanation:
    """What ``sockd explain`` says."""
    names = GivenNames(ADDRESSES, NAMES, unknown, unknown)
    return explain(policy, client, GivenMachine(Machine(), names, {}), names)


class _Association:
    """Stands for an association, and asks about one datagram."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.plan: DatagramPlan | None = None
        self.unresolved: str = ""

    def begin(self, session: Session, case: Case, plan: Plan) -> None:
        """See :data:`dantetw.session.protocol.Perform`."""
        plans = DatagramPlans(session, case)
        plans.outbound(self._client.source, self._client.target, self._planned, self._failed)

    def _planned(self, plan: DatagramPlan) -> None:
        self.plan = plan

    def _failed(self, error: Exception) -> None:
        self.unresolved = str(error)


class AgreementTests(SynchronousTestCase):
    """What the server does is what it says that it would do."""

    @settings(QUICK, max_examples=120)
    @given(st.integers(0, 2**32))
    def test_agree(self, seed: int) -> None:
        """The rules, the target, and every attempt are the same, or the refusal is."""
        random = Random(seed)
        text = configuration(random, "/dev/null", random.choice((4, 8, 20)))
        policy = compiled(f"debug: 1\n{text}")
        asking = request(random, random.randrange(1000))
        client = client_of(asking)
        explanation = explained(policy, client)
        association = _Association(client)
        commands = {**COMMANDS, Command.UDPASSOCIATE: association.begin}
        world = World(self, commands=commands)
        try:
            self.play(world, policy, client)
            if association.plan is not None or association.unresolved:
                self.check_datagram(association, explanation)
            elif explanation.passed:
                self.check_passed(world, client, explanation)
            else:
                self.check_refused(world, explanation)
        finally:
            world.factory.stop()
            world.close()

    def play(self, world: World, policy: Policy, client: Client) -> None:
        """Let the client come, and answer all that the server asks."""
        world.factory.adopt(policy, {Method.USERNAME: world.doorkeeper})
        world.hosts = ADDRESSES
        world.factory.listening = frozenset(e for i in policy.internal for e in i.listens)
        world.client(client.bytes_sent(), peer=client.source, local=client.local)
        for _ in range(50):
            world.look_up()
            world.doorkeeper.answer(True)
            world.settle()

    def check_passed(self, world: World, client: Client, explanation: Explanation) -> None:
        """The command is performed; if its attempts fail, all others are made."""
        (session,) = world.sessions
        record = session.record
        self.assertIs(record.client_rule, explanation.client_rule)
        self.assertIs(record.socks_rule, explanation.socks_rule)
        if client.command is Command.BIND:
            self.assertEqual([each.bound.host for each in world.awaits], [explanation.source])
            self.assertEqual(record.target, explanation.target)
            return
        self.assertEqual(world.dials[0].target, explanation.target)
        self.assertEqual(world.dials[0].source.host, explanation.source)
        done = 0
        while done < len(world.dials):
            world.dials[done].decide(111)
            done += 1
            for _ in range(20):
                world.look_up()
                world.settle()
        tried = [each.target for each in explanation.addresses if not each.why]
        self.assertEqual([each.target for each in world.dials], tried or [explanation.target])

    def check_refused(self, world: World, explanation: Explanation) -> None:
        """The session has ended, in the same way."""
        self.assertEqual(world.dials, [])
        (ended,) = world.ended
        self.assertEqual(ended.ending, explanation.ending)
        self.assertIs(ended.client_rule, explanation.client_rule)
        self.assertIs(ended.socks_rule, explanation.socks_rule)

    def check_datagram(self, association: _Association, explanation: Explanation) -> None:
        """The datagram goes where it would, or is dropped for the same reason."""
        plan, ending = association.plan, explanation.ending
        self.assertIsNotNone(explanation.association)
        if plan is None:
            assert ending is not None
            self.assertEqual(ending.text, association.unresolved)
            return
        self.assertIs(plan.rule, explanation.socks_rule)
        self.assertEqual(plan.target, explanation.target)
        self.assertEqual(
            plan.dropped is Drop.BLOCKED,
            explanation.ending is not None
            and ending is not None
            and ending.cause.word == "blocked",
        )
