"""
A client's association (:rfc:`1928` section 7): who its datagrams may come from, what the rules say
of them, and what is told of those that are not relayed.

The socks rules have been asked about the association without a target.  They are asked again about
each new header, with the target in it (``udpassociate``), and about each target that answers
(``udpreply``); what they say is remembered by the relay.  Names are looked up without anybody else
waiting for it.  What is not relayed is counted, and told (:mod:`dantetw.session.dropping`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import EMFILE
from functools import partial
from typing import Final

from dantetw.addresses import literal_endpoint
from dantetw.escaping import escape
from dantetw.net.datagrams import bind_outside
from dantetw.net.errors import words_of
from dantetw.net.resolving import KEEP_SECONDS, ResolveError
from dantetw.net.sources import SAID, NoSource
from dantetw.observe.events import (
    Connected,
    Traffic,
    Transferred,
)
from dantetw.observe.status import Standing
from dantetw.policy import Edge, Rule
from dantetw.relay.datagrams import DatagramRelay
from dantetw.relay.outside import Outside
from dantetw.relay.routes import Answer, Judged, Route
from dantetw.rules.decision import Decision
from dantetw.session import failing, tracing
from dantetw.session.commands.relaying import TAPPED
from dantetw.session.control import Control
from dantetw.session.dropping import Drops
from dantetw.session.judging import Judge
from dantetw.session.performing import Performing, answer
from dantetw.session.requesting import unusable_text
from dantetw.session.session import Session
from dantetw.values import (
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
    Verdict,
)
from dantetw.wire.addresses import AddressError, parse_address
from dantetw.wire.messages import ProtocolError

#: Descriptors to go out from in one family; two more are every session's.
OUTSIDE: Final = 2


class Association(Performing):
    """
    A client's association.

    :ivar rule: the socks rule that granted it.
    :ivar local: where the client sends its datagrams.
    :ivar client: where they come from; what was announced as long as none has come.
    """

    __slots__ = (
        "_also",
        "_asked_anew",
        "_control",
        "_drops",
        "_expected",
        "_judge",
        "_session",
        "client",
        "local",
        "relay",
        "rule",
    )

    def __init__(
        self,
        session: Session,
        rule: Rule,
        sock: socket.socket,
        announced: Endpoint,
        expected: Endpoint,
        connected: bool,
    ) -> None:
        """
        :param announced: as the client has it.
        :param expected: the same, numeric, or where the client is connected from; its port may be
            0.
        :param connected: ``sock`` is connected to it.
        """
        server = session.server
        self._session = session
        self.rule = rule
        self.local = Endpoint.of(sock.getsockname())
        self.client = announced
        self._expected = expected
        # The first datagram may come from here as well, from any port.
        self._also = session.record.client.host if rule.udp.from_connected else ""
        self._judge = Judge(session)
        self._drops = Drops(session)
        self._control = Control(session)
        self._asked_anew = server.monotonic()
        self.relay = DatagramRelay(server.poller, sock, self, server.stopwatch, connected)

    def begin(self) -> None:
        """Tell the client, and listen to it."""
        session, rule = self._session, self.rule
        record = session.record
        server = session.server
        record.phase = Phase.RELAY
        record.connected_at = server.monotonic()
        server.performed += 1
        if server.ledger is not None:
            server.ledger.note(session)
        failed = answer(session, record.policy.udp.announced(self.local))
        if failed is not None:
            number, operation = failed.errno or 0, Operation.SEND
            session.end(Ending(Side.CLIENT, Phase.RELAY, Cause.ERROR, number, operation=operation))
            return
        if rule.log & LOG_CONNECT:
            path = Path(self.client, self.local, record.user)
            server.journal.record(
                Connected(record.number, rule, path, Protocol.UDP, Command.UDPASSOCIATE)
            )
        if server.journal.debug:
            tracing.step(session, f"expects datagrams from {self._expected} on {self.local}")
        server.sweep.add(session)
        self._control.begin()

    # What the relay asks.

    def introduced(self, client: Endpoint) -> bool:
        expected = self._expected
        fits = client.host == expected.host and expected.port in (0, client.port)
        if fits or client.host == self._also:
            self.client = self._expected = client
            self._also = ""  # who has come first stays
            return True
        text = f"expected udp packet from clientaddress {expected}, got it from {client}"
        path = Path(client, self.local, self._session.record.user)
        self._drops.drop(self.rule, path, Side.CLIENT, Drop.STRANGER, text)
        return False

    def route(self, route: Route) -> None:
        late = False

        def decided(decision: Decision, target: Endpoint) -> None:
            if route.gone:
                return
            route.rule, route.target = decision.rule, target
            if decision.blocks:
                route.passes = False
            else:
                self._aim(route)
            if late:
                self.relay.settled(route)

        asked = literal_endpoint(route.asked)
        if asked.family is not Family.NAME and not self._session.context.sources.addresses(
            asked.family
        ):
            # The blank at the end is Dante's, and so is it that no rule is asked.
            said = f"{SAID[asked.family]} address"
            text = (
                f"packet for {said} target, but no {said} configured for our usage on the external"
                " interface "
            )
            self._drop_route(route, Drop.UNUSABLE, text)
            return
        self._judge.target(self.client, route.asked, decided, partial(self._unresolved, route))
        late = True

    def _unresolved(self, route: Route, failed: ResolveError) -> None:
        if route.gone:
            return
        # The blank at the end is Dante's.
        shown = f"{escape(route.asked.host)}.{route.asked.port}"
        text = f"could not resolve target address {shown}: {failed.reason} "
        self._drop_route(route, Drop.UNRESOLVED, text)

    def answer(self, answer: Answer) -> None:
        late = False

        def decided(decision: Decision, sender: Endpoint) -> None:
            answer.rule = decision.rule
            answer.tapped = self._wants_to_see(decision.rule)
            answer.passes = decision.rule.verdict is Verdict.PASS
            if late and answer.outside is not None:
                answer.outside.answered(answer)

        self._judge.sender(answer.sender, self.client, decided)
        late = True

    def _aim(self, route: Route) -> None:
        """A rule passes it: say how it goes out."""
        session, target = self._session, route.target
        outside = self.relay.outsides.get(target.family)
        if text := unusable_text(target):
            self._drop_route(route, Drop.UNUSABLE, text)
            return
        try:
            if outside is None:
                outside = self._open(target)
        except NoSource as none:
            self._drop_route(route, Drop.UNUSABLE, none.text)
            return
        except OSError as failed:
            reason = words_of(failed.errno or 0)
            text = f"could not bind address to use on external side: {reason}"
            self._drop_route(route, Drop.ERROR, text)
            return
        route.tapped = self._wants_to_see(route.rule)
        try:
            outside.aim(route, session.record.policy.udp.connectdst)
        except OSError as failed:
            number = failed.errno or 0
            failing.failed(session, Edge.EXTERNAL, Operation.CONNECT, target, number)
            reason = words_of(number)
            text = f"connect(2) to {target} from {outside.source} failed: {reason}"
            self._drop_route(route, Drop.ERROR, text)
            return
        route.passes = True

    def _open(self, target: Endpoint) -> Outside:
        """
        The way out to a family.

        :raises NoSource: if there is none.
        :raises OSError: if no socket can be had.
        """
        session = self._session
        record = session.record
        host = session.context.sources.choose(target, record.client, record.local)
        options = record.policy.socket_options + self.rule.socket_options
        if self.relay.outsides:
            if not session.server.room.has(OUTSIDE):
                raise OSError(EMFILE, "for another family")
            session.server.room.hold(record.number, 2 * OUTSIDE)
        # Below 1024 too, whatever ``compatibility`` says, as Dante: NTP peers count on it.
        low = session.server.bind_low
        sock, refused = bind_outside(host, target.family, self.client.port, options, low)
        session.server.report_refused(refused)
        return self.relay.open(target.family, sock, options)

    def _wants_to_see(self, rule: Rule) -> bool:
        return bool(rule.log & TAPPED) or self._session.server.journal.debug > 1

    def _drop_route(self, route: Route, drop: Drop, text: str) -> None:
        rule = route.rule or self.rule
        self._drops.drop(rule, self._path(route), Side.CLIENT, drop, text)
        self._drops.count(drop, max(0, self.relay.drop(route) - 1))

    # What the relay tells.

    def _path(self, judged: Judged) -> Path:
        session, outside = self._session, judged.outside
        target = judged.target if isinstance(judged, Route) else None
        if isinstance(judged, Answer):
            target = judged.sender
        if outside is None and target is not None:
            outside = self.relay.outsides.get(target.family)
        source = None if outside is None else outside.source
        return Path(self.client, self.local, session.record.user, source, target)

    def _drop(self, judged: Judged, drop: Drop, text: str = "") -> None:
        side = Side.CLIENT if isinstance(judged, Route) else Side.TARGET
        self._drops.drop(judged.rule, self._path(judged), side, drop, text)

    def blocked(self, judged: Judged) -> None:
        self._drop(judged, Drop.BLOCKED)

    def malformed(self, data: memoryview, wrong: ProtocolError) -> None:
        target, drop = None, Drop.MALFORMED
        text = (
            f"SOCKS protocol error in socks udp packet of length {len(data)}."
            "  Could not extract valid address from SOCKS UDP header"
        )
        if wrong.cause is Cause.UNSUPPORTED and len(data) > 2 and data[2]:
            drop, text = Drop.FRAGMENT, "fragmented socks udp packets are not supported"
            try:
                found = parse_address(data, 3)
            except AddressError:
                found = None
            target = None if found is None else found[0]
        path = Path(self.client, self.local, self._session.record.user, None, target)
        self._drops.drop(self.rule, path, Side.CLIENT, drop, text)

    def unsendable(self, judged: Judged, size: int, number: int) -> None:
        target = judged.target if isinstance(judged, Route) else self.client
        edge = Edge.EXTERNAL if isinstance(judged, Route) else Edge.INTERNAL
        if judged.outside is not None and isinstance(judged, Route):
            judged.outside.target = None
        failing.failed(self._session, edge, Operation.SEND, target, number)
        self._drop(judged, Drop.ERROR, f"sendto of {size} bytes failed: {words_of(number)}")

    def delayed(self, outside: Outside | None, target: Endpoint | None, number: int) -> None:
        session = self._session
        record = session.record
        text = f"{words_of(number)} (delayed error)"
        if outside is None:
            failing.failed(session, Edge.INTERNAL, Operation.SEND, self.client, number)
            path = Path(self.client, self.local, record.user)
            self._drops.drop(self.rule, path, Side.TARGET, Drop.UNDELIVERED, text)
            return
        if target is None:
            target = outside.connected_to
        if target is not None:
            failing.failed(session, Edge.EXTERNAL, Operation.SEND, target, number)
        path = Path(self.client, self.local, record.user, outside.source, target)
        self._drops.drop(self.rule, path, Side.CLIENT, Drop.UNDELIVERED, text)

    def unasked(self) -> None:
        self._drops.count(Drop.STRANGER, 1)

    def overflowed(self, number: int) -> None:
        self._drops.count(Drop.OVERFLOW, number)

    def seen(self, judged: Judged, data: memoryview) -> None:
        session, rule = self._session, judged.rule
        origin = Side.CLIENT if isinstance(judged, Route) else Side.TARGET
        if session.server.journal.debug > 1:
            tracing.moved(session, origin, len(data))
        if rule.log & TAPPED:
            session.server.journal.record(
                Transferred(
                    session.record.number,
                    rule,
                    self._path(judged),
                    origin,
                    len(data),
                    bytes(data) if rule.log & LOG_DATA else None,
                    Protocol.UDP,
                    Command.UDPASSOCIATE if origin is Side.CLIENT else Command.UDPREPLY,
                )
            )

    # What the session asks.

    def check(self, now: float) -> None:
        limit = self.rule.timeouts.io_udp
        if limit and int(now) - int(self.relay.stamp) > limit:
            self._session.end(Ending(Side.US, Phase.RELAY, Cause.TIMEOUT))
        elif now - self._asked_anew > KEEP_SECONDS:
            self._asked_anew = now
            self.relay.ask_anew()

    def closing(self) -> None:
        self._control.close()
        self._drops.count(Drop.OVERFLOW, self.relay.overflows)
        self._drops.close(self.rule, Path(self.client, self.local, self._session.record.user))

    def cancel(self) -> None:
        self.relay.end()
        self._judge.cancel()

    @property
    def under_way(self) -> bool:
        return True

    def standing(self) -> Iterator[tuple[Path, Standing]]:
        session, relay = self._session, self.relay
        record = session.record
        for outside in relay.outsides.values():
            path = Path(self.client, self.local, record.user, outside.source, outside.target)
            yield (
                path,
                Standing(outside.since, outside.stamp, outside.counts, packets=outside.packets),
            )
        if not relay.outsides:
            path = Path(self.client, self.local, record.user)
            began = record.accepted_at
            yield path, Standing(began, relay.stamp, Counts(), packets=Counts())

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
                Path(self.client, self.local, user, outside.source, outside.target),
                outside.counts,
                outside.packets,
            )
            for outside in self.relay.outsides.values()
        )
        return found or (Traffic(Path(self.client, self.local, user)),)

    @property
    def first_io(self) -> float:
        return self.relay.first_io
