"""A relay of datagrams between real sockets, on a reactor that the test turns."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.datagrams import bind_external, bind_internal
from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.relay.datagrams import DatagramRelay
from dantetw.relay.egress import Egress
from dantetw.relay.flowcache import DatagramFlow, OutboundFlow, ReplyFlow
from dantetw.relay.latency import Stopwatch
from dantetw.relay.shaping import Shaping
from dantetw.values import AF_OF, Endpoint, Family
from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import build_header, parse_datagram
from tests.net.reactors import TurningReactor

HOSTS = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
PASS, BLOCK, LATER, UNUSABLE = "pass", "block", "later", "unusable"


class Far:
    """A client or a target: a socket with room for all that a test sends it."""

    def __init__(self, case: SynchronousTestCase, family: Family = Family.IPV4) -> None:
        self.sock = socket.socket(AF_OF[family], socket.SOCK_DGRAM)
        case.addCleanup(self.sock.close)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind((HOSTS[family], 0))

    @property
    def where(self) -> Endpoint:
        """Its address."""
        return Endpoint.of(self.sock.getsockname())

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram."""
        self.sock.sendto(data, (to.host, to.port))

    def hear(self) -> list[bytes]:
        """All that has come, in order."""
        return [data for data, _ in self.hear_from()]

    def hear_from(self) -> list[tuple[bytes, Endpoint]]:
        """The same, each with whom it is from."""
        found = []
        while True:
            try:
                data, address = self.sock.recvfrom(70000)
            except BlockingIOError:
                return found
            found.append((data, Endpoint.of(address)))


class Script:
    """
    A delegate that decides as the test says.

    :ivar verdicts: by target; ``PASS`` where there is none.
    :ivar addresses: of targets that are names.
    :ivar replies: likewise about what targets answer.
    :ivar client: who may be introduced; None: anybody.
    :ivar told: all that the relay has told: the method's name, and what is worth comparing.
    :ivar asked: how often each target was asked about; ``waiting``: what awaits its decision.
    :ivar ends_in: the relay is ended in this method.
    """

    def __init__(self) -> None:
        self.relay: DatagramRelay
        self.verdicts: dict[Endpoint, str] = {}
        self.addresses: dict[Endpoint, Endpoint] = {}
        self.replies: dict[Endpoint, str] = {}
        self.client: Endpoint | None = None
        self.connects = True
        self.tapped = False
        self.told: list[tuple[Any, ...]] = []
        self.asked: Counter[Endpoint] = Counter()
        self.answers: Counter[Endpoint] = Counter()
        self.waiting: list[DatagramFlow] = []
        self.ends_in = ""

    def _tell(self, name: str, *what: Any) -> None:
        self.told.append((name, *what))
        if name == self.ends_in:
            self.relay.end()

    def admit_client(self, client: Endpoint) -> bool:
        good = self.client in (None, client)
        self.client = client if good else self.client
        self._tell("admit_client", client, good)
        return good

    def decide_outbound(self, route: OutboundFlow) -> None:
        self.asked[route.asked] += 1
        route.rule = route.asked
        route.target = self.addresses.get(route.asked, route.asked)
        verdict = self.verdicts.get(route.asked, PASS)
        if verdict is LATER:
            self.waiting.append(route)
        elif verdict is UNUSABLE:
            self._tell("unusable", route.asked)
            self.relay.drop(route)
        elif verdict is BLOCK:
            route.passes = False
        else:
            self.aim(route)
        if self.ends_in == "decide_outbound":
            self.relay.end()

    def aim(self, route: OutboundFlow) -> None:
        """Let a route's datagrams go out."""
        family = route.target.family
        egress = self.relay.egresses.get(family)
        if egress is None:
            assert self.client is not None
            sock, _ = bind_external(HOSTS[family], family, self.client.port, ())
            egress = self.relay.open(family, sock, ())
        route.tapped = self.tapped
        egress.assign(route, self.connects)
        route.passes = True

    def decide_reply(self, answer: ReplyFlow) -> None:
        self.answers[answer.sender] += 1
        verdict = self.replies.get(answer.sender, PASS)
        answer.tapped = self.tapped
        if verdict is LATER:
            self.waiting.append(answer)
        else:
            answer.passes = verdict is PASS
        if self.ends_in == "decide_reply":
            self.relay.end()

    def decide(self, verdict: str) -> None:
        """Decide about all that waits."""
        waiting, self.waiting = self.waiting, []
        for flow in waiting:
            if isinstance(flow, ReplyFlow):
                flow.passes = verdict is PASS
                self.relay.release_replies(flow)
                continue
            assert isinstance(flow, OutboundFlow)
            if verdict is PASS:
                self.aim(flow)
            else:
                flow.passes = False
            self.relay.release(flow)

    def blocked(self, flow: DatagramFlow) -> None:
        self._tell("blocked", _about(flow))

    def relayed(self, flow: DatagramFlow, data: memoryview) -> None:
        self._tell("relayed", _about(flow), bytes(data))

    def malformed(self, data: memoryview, wrong: ProtocolError) -> None:
        self._tell("malformed", bytes(data))

    def send_failed(self, flow: DatagramFlow, size: int, number: int) -> None:
        self._tell("send_failed", _about(flow), size, number)

    def undelivered(self, egress: Egress | None, target: Endpoint | None, number: int) -> None:
        self._tell("undelivered", None if egress is None else target, number)

    def unsolicited(self) -> None:
        self._tell("unsolicited")

    def overflowed(self, number: int) -> None:
        self._tell("overflowed", number)

    def count(self, name: str) -> int:
        """How often something was told."""
        return sum(1 for told in self.told if told[0] == name)


def _about(flow: DatagramFlow) -> Endpoint:
    return flow.target if isinstance(flow, OutboundFlow) else flow.sender  # type: ignore[attr-defined]


class Rig:
    """One association: its client, its relay and its delegate."""

    def __init__(
        self,
        case: AssociationCase,
        family: Family = Family.IPV4,
        shaping: Shaping | None = None,
    ) -> None:
        self.case = case
        self.reactor = case.reactor
        sock, _ = bind_internal(HOSTS[family], family, None, ())
        self.inside = Endpoint.of(sock.getsockname())
        self.client = Far(case, family)
        self.delegate = Script()
        self.relay = DatagramRelay(
            case.poller, sock, self.delegate, case.stopwatch, shaping=shaping
        )
        self.delegate.relay = self.relay
        case.addCleanup(self.relay.end)

    def say(self, payload: bytes, to: Endpoint) -> None:
        """The client sends something to a target."""
        self.client.send(build_header(to) + payload, self.inside)

    def answers(self) -> list[tuple[Endpoint, bytes]]:
        """What the client has got."""
        found = []
        for data in self.client.hear():
            sender, start = parse_datagram(data)
            found.append((sender, data[start:]))
        return found

    def way(self, family: Family = Family.IPV4) -> Egress:
        """The way out."""
        return self.relay.egresses[family]


class AssociationCase(SynchronousTestCase):
    """
    Associations on one poller.

    :cvar unmeasured: how many datagrams are relayed before the first is measured.
    """

    unmeasured = 0
    poller_class: type[EpollPoller] | type[ReactorPoller] = EpollPoller

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        seconds = self.reactor.seconds
        self.poller = self.poller_class(self.reactor, seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        self.stopwatch = Stopwatch(seconds)
        self.stopwatch.wait = self.unmeasured

    def rig(self, family: Family = Family.IPV4, shaping: Shaping | None = None) -> Rig:
        """An association."""
        return Rig(self, family, shaping)

    def far(self, family: Family = Family.IPV4) -> Far:
        """A target, or a stranger."""
        return Far(self, family)

    def settle(self) -> None:
        """Let happen what can happen."""
        self.reactor.settle()

    def until(self, true: Callable[[], object]) -> None:
        """Turn until something is true that takes the kernel a while."""
        for _ in range(3000):
            if true():
                return
            self.reactor.turn(2)
        raise AssertionError("it does not happen")
