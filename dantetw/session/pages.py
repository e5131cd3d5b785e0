"""
The sessions that are alive, for a status report (SIGUSR1).

The sessions are those alive when the report begins, oldest first.  Each is described as it is when
its turn comes; sessions that ended before that are left out, and so are later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dantetw.observe.status import Active, TrafficSnapshot
from dantetw.session.clientsession import ClientSession
from dantetw.session.protocol import SocksFactory
from dantetw.session.session import Session
from dantetw.values import Path, Work, value


@value
class SessionPage:
    """
    A session.

    :ivar work: the stage it is in.
    :ivar actives: the session as it is now, an association as one value for each target.  Empty:
        a heading, which the sessions in this stage follow.
    """

    work: Work
    actives: tuple[Active, ...] = ()


class SessionPages:
    """
    The sessions of this process that are alive when this is made.

    :param report: number of the report that they are for.
    :ivar gone: how many have ended before it was their turn.
    """

    def __init__(self, server: SocksFactory, report: int) -> None:
        self._report = report
        self._alive = tuple(server.sessions.values())
        self.gone = 0

    def __iter__(self) -> Iterator[SessionPage | None]:
        """
        The pages by stage, the oldest session first; each takes well below a millisecond.  None: no
        page is ready yet.
        """
        works: dict[Work, list[ClientSession]] = {work: [] for work in Work}
        for session in self._alive:
            works[session.work].append(session)
            yield None
        for work, sessions in works.items():
            yield SessionPage(work)
            for session in sessions:
                if session.ended:
                    self.gone += 1
                    yield None
                elif (now := session.work) is not work:
                    works[now].append(session)  # work goes on in this order, never back
                    yield None
                else:
                    yield SessionPage(work, tuple(actives(session, self._report)))


def actives(session: Session, report: int) -> Iterator[Active]:
    """The part of a status report about a session that is alive."""
    record, work, activity = session.record, session.work, session.activity
    policy = record.policy
    ways: Iterable[tuple[Path | None, TrafficSnapshot | None]] = ((None, None),)
    if activity is not None and work is Work.IO:
        ways = activity.traffic_snapshots()
    for path, standing in ways:
        yield record.snapshot(
            Active,
            session.server.monotonic(),
            path,
            report=report,
            work=work,
            choice=len(policy.client_rules) > 1 or len(policy.socks_rules) > 1,
            standing=standing,
            tcpinfo=session.tcpinfo(),
        )
