"""
Chooses the processes that serve clients: this one, or workers.
"""

from __future__ import annotations

from typing import Any

from dantetw.crew.interfaces import ICrew
from dantetw.crew.logs import Logs
from dantetw.crew.single import SingleProcess
from dantetw.crew.socksserver import SocksServer
from dantetw.crew.supervisor import Supervisor
from dantetw.crew.worker import WorkerContext
from dantetw.observe.sinks.kind import Surroundings
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges


def has_workers(policy: Policy, number: int) -> bool:
    """
    Whether workers serve the clients.

    :param number: of processes that are to serve clients.
    """
    return number > 1 or policy.processes.replaces_workers


def make_crew(
    reactor: Any,
    server: SocksServer,
    policy: Policy,
    key: bytes,
    logs: Logs,
    surroundings: Surroundings,
    privileges: Privileges,
    keep_alive: bool,
    number: int,
) -> ICrew:
    """
    The processes that serve clients.

    :param server: serves them if this process does.
    :param key: of pseudonyms in the log.
    :param keep_alive: use TCP keep-alive.
    :param number: of processes that are to serve clients.
    """
    if not has_workers(policy, number):
        return SingleProcess(server)
    context = WorkerContext(policy, {}, logs, key, surroundings, {}, privileges, keep_alive)
    return Supervisor(reactor, logs.journal, logs.observer, server, context, number)
