"""
What the server asks of the processes that serve clients, be it this one or workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dantetw.crew.figures import CrewFigures
from dantetw.net.listening import Port
from dantetw.policy import Policy
from dantetw.values import Endpoint, Method


class ICrew(Protocol):
    """
    The processes that serve clients.

    A change of the policy or of the ports goes by steps: :meth:`prepare`, after which all processes
    can make it or none does; :meth:`commit`; then the server lets go of the ports that are given
    up, and :meth:`release` returns when no process accepts there any more.  One change at a time.
    """

    @property
    def sessions(self) -> int:
        """How many sessions are open."""

    @property
    def busy(self) -> bool:
        """Whether any session may be open, or any process be about to end."""

    def needs_restart(self, policy: Policy) -> bool:
        """Whether what a policy says of workers takes effect at the server's next start only."""

    def authenticators(self, policy: Policy) -> Mapping[Method, Any]:
        """
        What checks logins by a policy.

        :raises UnusableError: if that cannot be made.
        """

    def adopt(self, policy: Policy, authenticators: Mapping[Method, Any]) -> None:
        """Serve by this policy, before :meth:`start`."""

    def start(self, ports: Mapping[Endpoint, Port]) -> None:
        """
        Begin to accept clients.

        :raises UnusableError: if no process can.
        """

    async def prepare(
        self,
        policy: Policy,
        key: bytes,
        ports: Mapping[Endpoint, Port],
        authenticators: Mapping[Method, Any] | None = None,
        grace: bool = True,
    ) -> None:
        """
        Make ready for a change.

        :param key: of pseudonyms in the log.
        :param ports: where to listen, and nowhere else.
        :param authenticators: for this policy; None: it is the one in force.
        :param grace: wait for clients that are in the midst of connecting to a port that goes.
        :raises UnusableError: if a process cannot make it; nothing has changed then.
        """

    async def commit(self, reopened: bool) -> None:
        """
        Make the change.

        :param reopened: the log's destinations have been opened again.
        """

    async def release(self) -> None:
        """Let go of the ports that the change gives up; returns when that is done."""

    def reopen(self) -> None:
        """The log's destinations have been opened again: use them."""

    def retire(self) -> None:
        """Accept no more clients, while another server does at the same ports."""

    def stop(self) -> Deferred[None]:
        """End all sessions; fires when no other process is left."""

    async def gather(self) -> CrewFigures:
        """The figures of all processes, up to date."""

    async def report_sessions(self, report: int, up: float) -> tuple[int, int]:
        """
        Write all sessions into a status report.

        :param report: its number; ``up``: seconds since the server's start.
        :returns: how many were written, and how many ended before it was their turn.
        """
