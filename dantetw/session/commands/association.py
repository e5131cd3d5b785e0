"""
A client's association (:rfc:`1928` section 7): from where its datagrams may come, what the rules
decide about them, and how those that are not relayed are logged.

The socks rules have been asked about the association without a target.  They are asked again about
each new header, with the target in it (``udpassociate``), and about each target that answers
(``udpreply``); the relay caches their decisions.  No other session
waits while a name is looked up.  What is not relayed is counted and logged
(:mod:`dantetw.session.drops`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import EMFILE
from functools import partial
from typing import Final

from dantetw.addresses import literal_endpoint
from dantetw.escaping import escape
from dantetw.net.datagrams import bind_external
from dantetw.net.errors import words_of
from dantetw.net.lookups import ResolveError
from dantetw.net.resolving import KEEP_SECONDS
from dantetw.net.sources import NoSource
from dantetw.observe.events import (
    Connected,
    Traffic,
    Transferred,
)
from dantetw.observe.status import TrafficSnapshot
from dantetw.plan.case import Case
from dantetw.plan.datagram import DatagramPlan
from dantetw.policy import Edge, Rule
from dantetw.relay.datagrams import DatagramRelay
from dantetw.relay.egress import Egress
from dantetw.relay.flowcache import DatagramFlow, EgressTraffic, OutboundFlow, ReplyFlow
from dantetw.session import failures, tracing
from dantetw.session.activity import Activity
from dantetw.session.commands.relaycommand import TAPPED
from dantetw.session.control import Control
from dantetw.session.datagramplans import DatagramPlans
from dantetw.session.drops import Drops
from dantetw.session.session import Session
from dantetw.values import (
    FAMILY_WORDS,
    LOG_CONNECT,
    LOG_DATA,
    Cause,
    Command,
    Counts,
    Drop,
    Ending,
    Endpoint,
    Family,
    Operation,
    Path,
    Phase,
    Protocol,
    Side,
)
from dantetw.wire.addresses import AddressError, parse_address
from dantetw.wire.messages import ProtocolError

#: Descriptors of the egress of one family; two more are every session's.
OUTSIDE: Final = 2


class Association(Activity):
    """
    A client's association.

    :ivar rule: the socks rule that granted it.
    :ivar local: where the client sends its datagrams.
    :ivar client: where they come from; the announced address until one has come.
    """

    __slots__ = (
        "_also",
        "_control",
        "_decisions_since",
        "_drops",
        "_expected",
        "_plans",
        "_session",
        "client",
        "local",
        "relay",
        "rule",
    )

    def __init__(
        self,
        session: Session,
        case: Case,
        rule: Rule,
        sock: socket.socket,
        expected: Endpoint,
        connected: bool,
    ) -> None:
        """
        :param expected: the address that the client announces, or from which it is connected; its
            port may be 0.
        :param connected: ``sock`` is connected to it.
        """
        server = session.server
        self._session = session
        self.rule = rule
        self.local = Endpoint.of(sock.getsockname())
        self.client = case.asked
        self._expected = expected
        # The first datagram may come from here as well, from any port.
        self._also = session.record.client.host if rule.udp.from_connected else ""
        self._plans = DatagramPlans(session, case)
        self._drops = Drops(session)
        self._control = Control(session)
        self._decisions_since = server.monotonic()
        shaping = None if server.shape is None else server.shape(session, rule)
        self.relay = DatagramRelay(server.poller, sock, self, server.stopwatch, connected, shaping)

    def begin(self) -> None:
        """Reply to the client, and wait for its datagrams."""
        session, rule = self._session, self.rule
        record = session.record
        server = session.server
        record.connect(server.monotonic())
        server.charging.perform()
        session.advanced()
        unanswered = session.grant(record.policy.udp.announced(self.local))
        if unanswered is not None:
            session.end(unanswered)
            return
        if rule.log & LOG_CONNECT:
            path = Path(self.client, self.local, record.user)
            server.journal.record(
                Connected(record.number, rule, path, Protocol.UDP, Command.UDPASSOCIATE)
            )
        if server.journal.debug:
            tracing.step(session, f"expects datagrams from {self._expected} on {self.local}")
        self._control.begin()

    # Decisions for the relay.

    def admit_client(self, client: Endpoint) -> bool:
        expected = self._expected
        fits = client.host == expected.host and expected.port in (0, client.port)
        if fits or client.host == self._also:
            self.client = self._expected = client
            self._also = ""  # the first client stays
            return True
        text = f"expected udp packet from clientaddress {expected}, got it from {client}"
        path = Path(client, self.local, self._session.record.user)
        self._drops.drop(self.rule, path, Side.CLIENT, Drop.STRANGER, text)
        return False

    def decide_outbound(self, flow: OutboundFlow) -> None:
        late = False

        def planned(plan: DatagramPlan) -> None:
            if flow.gone:
                return
            flow.rule, flow.target = plan.rule, plan.target
            if plan.dropped is None:
                self._assign(flow)
            elif plan.dropped is Drop.BLOCKED:
                flow.passes = False
            else:
                self._drop_flow(flow, plan.dropped, plan.text)
            if late:
                self.relay.release(flow)

        asked = literal_endpoint(flow.asked)
        if asked.family is not Family.NAME and not self._session.context.sources.addresses(
            asked.family
        ):
            # The blank at the end is Dante's, and so is it that no rule is asked.
            said = f"{FAMILY_WORDS[asked.family]} address"
            text = (
                f"packet for {said} target, but no {said} configured for our usage on the external"
                " interface "
            )
            self._drop_flow(flow, Drop.UNUSABLE, text)
            return
        self._plans.outbound(self.client, flow.asked, planned, partial(self._unresolved, flow))
        late = True

    def _unresolved(self, flow: OutboundFlow, failed: ResolveError) -> None:
        if flow.gone:
            return
        # The blank at the end is Dante's.
        shown = f"{escape(flow.asked.host)}.{flow.asked.port}"
        text = f"could not resolve target address {shown}: {failed.reason} "
        self._drop_flow(flow, Drop.UNRESOLVED, text)

    def decide_reply(self, flow: ReplyFlow) -> None:
        late = False

        def planned(plan: DatagramPlan) -> None:
            flow.rule = plan.rule
            flow.tapped = self._is_tapped(plan.rule)
            flow.passes = plan.dropped is None
            if late:
                self.relay.release_replies(flow)

        self._plans.reply(flow.sender, self.client, planned)
        late = True

    def _assign(self, flow: OutboundFlow) -> None:
        """A rule passes it: assign the egress."""
        session, target = self._session, flow.target
        egress = self.relay.egresses.get(target.family)
        try:
            if egress is None:
                egress = self._open(target)
        except NoSource as none:
            self._drop_flow(flow, Drop.UNUSABLE, none.text)
            return
        except OSError as failed:
            reason = words_of(failed.errno or 0)
            text = f"could not bind address to use on external side: {reason}"
            self._drop_flow(flow, Drop.ERROR, text)
            return
        flow.tapped = self._is_tapped(flow.rule)
        try:
            egress.assign(flow, session.record.policy.udp.connectdst)
        except OSError as failed:
            number = failed.errno or 0
            failures.log_failure(session, Edge.EXTERNAL, Operation.CONNECT, target, number)
            reason = words_of(number)
            text = f"connect(2) to {target} from {egress.source} failed: {reason}"
            self._drop_flow(flow, Drop.ERROR, text)
            return
        flow.passes = True

    def _open(self, target: Endpoint) -> Egress:
        """
        Open the egress of a family.

        :raises NoSource: if there is none.
        :raises OSError: if no socket can be had.
        """
        session = self._session
        record = session.record
        host = session.context.sources.choose(target, record.client, record.local)
        options = record.policy.socket_options + self.rule.socket_options
        if self.relay.egresses:
            if not session.server.descriptors.has(OUTSIDE):
                raise OSError(EMFILE, "for another family")
            session.server.descriptors.hold(record.number, 2 * OUTSIDE)
        # Below 1024 too, whatever ``compatibility`` says, as Dante: NTP peers count on it.
        low = session.server.bind_low
        sock, refused = bind_external(host, target.family, self.client.port, options, low)
        session.server.report_refused(refused)
        return self.relay.open(target.family, sock, options)

    def _is_tapped(self, rule: Rule) -> bool:
        return bool(rule.log & TAPPED) or self._session.server.journal.debug > 1

    def _drop_flow(self, flow: OutboundFlow, drop: Drop, text: str) -> None:
        rule = flow.rule or self.rule
        self._drops.drop(rule, self._path(flow), Side.CLIENT, drop, text)
        self._drops.count(drop, max(0, self.relay.drop(flow) - 1))

    # What the relay reports.

    def _path(self, flow: DatagramFlow) -> Path:
        session, egress = self._session, flow.egress
        target = flow.target if isinstance(flow, OutboundFlow) else None
        if isinstance(flow, ReplyFlow):
            target = flow.sender
        if egress is None and target is not None:
            egress = self.relay.egresses.get(target.family)
        source = None if egress is None else egress.source
        return Path(self.client, self.local, session.record.user, source, target)

    def _drop(self, flow: DatagramFlow, drop: Drop, text: str = "") -> None:
        side = Side.CLIENT if isinstance(flow, OutboundFlow) else Side.TARGET
        self._drops.drop(flow.rule, self._path(flow), side, drop, text)

    def blocked(self, flow: DatagramFlow) -> None:
        self._drop(flow, Drop.BLOCKED)

    def malformed(self, data: memoryview, error: ProtocolError) -> None:
        target, drop = None, Drop.MALFORMED
        text = (
            f"SOCKS protocol error in socks udp packet of length {len(data)}."
            "  Could not extract valid address from SOCKS UDP header"
        )
        if error.cause is Cause.UNSUPPORTED and len(data) > 2 and data[2]:
            drop, text = Drop.FRAGMENT, "fragmented socks udp packets are not supported"
            try:
                found = parse_address(data, 3)
            except AddressError:
                found = None
            target = None if found is None else found[0]
        path = Path(self.client, self.local, self._session.record.user, None, target)
        self._drops.drop(self.rule, path, Side.CLIENT, drop, text)

    def send_failed(self, flow: DatagramFlow, size: int, number: int) -> None:
        target = flow.target if isinstance(flow, OutboundFlow) else self.client
        edge = Edge.EXTERNAL if isinstance(flow, OutboundFlow) else Edge.INTERNAL
        if flow.egress is not None and isinstance(flow, OutboundFlow):
            flow.egress.target = None
        failures.log_failure(self._session, edge, Operation.SEND, target, number)
        self._drop(flow, Drop.ERROR, f"sendto of {size} bytes failed: {words_of(number)}")

    def undelivered(
        self, egress: EgressTraffic | None, target: Endpoint | None, number: int
    ) -> None:
        session = self._session
        record = session.record
        text = f"{words_of(number)} (delayed error)"
        if egress is None:
            failures.log_failure(session, Edge.INTERNAL, Operation.SEND, self.client, number)
            path = Path(self.client, self.local, record.user)
            self._drops.drop(self.rule, path, Side.TARGET, Drop.UNDELIVERED, text)
            return
        if target is None:
            target = egress.connected_to
        if target is not None:
            failures.log_failure(session, Edge.EXTERNAL, Operation.SEND, target, number)
        path = Path(self.client, self.local, record.user, egress.source, target)
        self._drops.drop(self.rule, path, Side.CLIENT, Drop.UNDELIVERED, text)

    def unsolicited(self) -> None:
        self._drops.count(Drop.STRANGER, 1)

    def overflowed(self, number: int) -> None:
        self._drops.count(Drop.OVERFLOW, number)

    def relayed(self, flow: DatagramFlow, data: memoryview) -> None:
        session, rule = self._session, flow.rule
        origin = Side.CLIENT if isinstance(flow, OutboundFlow) else Side.TARGET
        if session.server.journal.debug > 1:
            tracing.moved(session, origin, len(data))
        if rule.log & TAPPED:
            session.server.journal.record(
                Transferred(
                    session.record.number,
                    rule,
                    self._path(flow),
                    origin,
                    len(data),
                    bytes(data) if rule.log & LOG_DATA else None,
                    Protocol.UDP,
                    Command.UDPASSOCIATE if origin is Side.CLIENT else Command.UDPREPLY,
                )
            )

    # What the session calls.

    def check(self, now: float) -> None:
        limit = self.rule.timeouts.io_udp
        if limit and int(now) - int(self.relay.last_activity) > limit:
            self._session.end(Ending(Side.US, Phase.RELAY, Cause.TIMEOUT))
        elif now - self._decisions_since > KEEP_SECONDS:
            self._decisions_since = now
            self.relay.forget_decisions()

    def closing(self) -> None:
        self._control.close()
        self._drops.count(Drop.OVERFLOW, self.relay.overflows)
        self._drops.close(self.rule, Path(self.client, self.local, self._session.record.user))

    def cancel(self) -> None:
        self.relay.end()
        self._plans.cancel()

    @property
    def is_active(self) -> bool:
        return True

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        session, relay = self._session, self.relay
        record = session.record
        for egress in relay.egresses.values():
            path = Path(self.client, self.local, record.user, egress.source, egress.target)
            yield (
                path,
                TrafficSnapshot(
                    egress.since, egress.last_activity, egress.counts, packets=egress.packets
                ),
            )
        if not relay.egresses:
            path = Path(self.client, self.local, record.user)
            began = record.accepted_at
            yield path, TrafficSnapshot(began, relay.last_activity, Counts(), packets=Counts())

    @property
    def counts(self) -> Counts:
        return sum((each.counts for each in self.traffic), Counts())

    @property
    def packets(self) -> Counts:
        return sum((each.packets for each in self.traffic), Counts())

    @property
    def drops(self) -> tuple[tuple[Drop, int], ...]:
        return self._drops.counted

    @property
    def traffic(self) -> tuple[Traffic, ...]:
        user = self._session.record.user
        found = tuple(
            Traffic(
                Path(self.client, self.local, user, egress.source, egress.target),
                egress.counts,
                egress.packets,
            )
            for egress in self.relay.egresses.values()
        )
        return found or (Traffic(Path(self.client, self.local, user)),)

    @property
    def first_io(self) -> float:
        return self.relay.first_io
