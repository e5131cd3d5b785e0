"""What a server gives the relays of its sessions: budgets and a codec."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Ended
from dantetw.policy import Rule
from dantetw.relay.shaping import Budget, Shaping
from dantetw.session.session import Session
from dantetw.values import Counts
from tests.relay.shapes import Masked
from tests.session.datagrams import AssociateCase
from tests.session.world import World


class ConnectTests(SynchronousTestCase):
    """Relays of connections."""

    def test_shaped(self) -> None:
        """The bytes behind the request are decoded too, and counts are of what has passed."""
        world, budget, asked = World(self), Budget(4), []

        def shape(session: Session, rule: Rule) -> Shaping:
            asked.append((session, rule.number))
            return Shaping(down=budget, codec=Masked())

        world.factory.shape = shape
        masked = Masked()
        client, dial = world.connected(masked.decode(b"early"))
        self.assertEqual(asked, [(client.session, 1)])
        client.send(masked.decode(b" late"))
        self.assertEqual(dial.far.recv(100), b"early late")
        greeting = client.hear()
        dial.far.send(b"answer")
        world.settle()
        self.assertEqual(masked.encode(client.hear()[len(greeting) :]), b"answ")
        budget.grant(2)
        world.settle()
        self.assertEqual(Masked().encode(client.hear()[len(greeting) :]), b"answer")
        client.close()
        dial.far.close()
        budget.grant(1)
        world.settle()
        (ended,) = [event for event in world.events if isinstance(event, Ended)]
        self.assertEqual(ended.counts, Counts(6, 10, 10, 6))

    def test_unshaped(self) -> None:
        """A session of which nothing is limited has a relay like any other."""
        world = World(self)
        world.factory.shape = lambda session, rule: None
        client, dial = world.connected(b"early")
        self.assertEqual(dial.far.recv(100), b"early")
        client.close()


class AssociateTests(AssociateCase):
    """Relays of datagrams."""

    def test_shaped(self) -> None:
        """An association has a budget."""
        world, budget = self.world(), Budget(1)
        world.factory.shape = lambda session, rule: Shaping(up=budget)
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"one", target)
        visit.say(b"two", target)
        self.assertEqual(sock.recv(100), b"one")
        self.assertRaises(BlockingIOError, sock.recv, 100)
        budget.grant(1000)
        world.settle()
        self.assertEqual(sock.recv(100), b"two")
        visit.control.close()
        self.assertFalse(budget.waited_for)
