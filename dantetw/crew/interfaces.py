"""
The interface of the processes that serve clients: one process, or workers.
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

    A change of the policy or of the ports has three steps: :meth:`prepare`, after which all
    processes can make it or none does; :meth:`commit`; then the server releases the ports that are
    dropped, and :meth:`release` returns when no process accepts there any more.  Only one change is
    made at a time.
    """

    @property
    def sessions(self) -> int:
        """How many sessions are open."""

    @property
    def busy(self) -> bool:
        """Whether any session may be open, or any process is still ending."""

    def needs_restart(self, policy: Policy) -> bool:
        """Whether a policy's settings of workers take effect only when the server starts again."""

    def authenticators(self, policy: Policy) -> Mapping[Method, Any]:
        """
        The authenticators of a policy.

        :raises UnusableError: if they cannot be made.
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
        :param ports: the complete set to listen at.
        :param authenticators: those of this policy; None: it is the one in force.
        :param grace: wait for clients whose handshake with a dropped port is not complete.
        :raises UnusableError: if a process cannot make the change; nothing has changed then.
        """

    async def commit(self, reopened: bool) -> None:
        """
        Make the change.

        :param reopened: the log's destinations have been opened again.
        """

    async def release(self) -> None:
        """Close the ports that the change drops; returns when that is done."""

    def reopen(self) -> None:
        """The log's destinations have been opened again: use them."""

    def retire(self) -> None:
        """Accept no more clients; another server does so at the same ports."""

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
