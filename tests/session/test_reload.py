"""Tests of what a session keeps when the policy changes under it."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.groups import Groups
from dantetw.observe.events import ConnectFailed, ResolveFailed
from dantetw.values import Cause, Endpoint, Family, Severity
from tests.session.world import GREETING, HEAD, LOGIN, LOGINS, OPEN, World, compiled, request

ERROR = HEAD + "external.log.err.error: ECONNREFUSED\n"
INFO = HEAD + "external.log.info.error: ECONNREFUSED\n"


class KeepTests(SynchronousTestCase):
    """What a session began with."""

    def test_filters(self) -> None:
        """A failure is told at the level that the policy of the session's beginning says."""
        world = World(self, OPEN, head=ERROR)
        world.client(GREETING + request())
        world.factory.adopt(compiled(INFO + OPEN), {})
        world.client(GREETING + request())
        for dial in world.dials:
            dial.decide(errno.ECONNREFUSED)
        world.settle()
        severities = [event.severity for event in world.events if isinstance(event, ConnectFailed)]
        self.assertEqual(severities, [Severity.ERROR, Severity.INFO])

    def test_unresolved(self) -> None:
        """So is a name that does not exist."""
        world = World(self, OPEN, head=ERROR.replace("ECONNREFUSED", "dns-any"))
        gone = Endpoint("gone.example.org", 80, Family.NAME)
        world.client(GREETING + request(gone))
        world.factory.adopt(compiled(INFO + OPEN), {})
        world.look_up()
        (event,) = [event for event in world.events if isinstance(event, ResolveFailed)]
        self.assertEqual(event.severity, Severity.ERROR)

    def test_groups(self) -> None:
        """A rule's groups are asked for although no rule of the new policy names them."""
        self.patch(Groups, "_look_up", lambda groups, user: groups._names)
        block = "socks block { from: 0/0 to: 0/0 group: staff }\n"
        world = World(self, LOGINS.replace("socks pass", f"{block}socks pass", 1))
        client = world.client(LOGIN)
        world.factory.adopt(compiled(HEAD + OPEN), {})
        world.doorkeeper.answer(True)
        world.settle()
        client.send(request())
        self.assertEqual(world.ending.cause, Cause.BLOCKED)
