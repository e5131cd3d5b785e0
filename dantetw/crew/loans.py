"""
Lends the sockets of workers that do not accept to those that do.

Each worker accepts at its own sockets.  The kernel distributes clients among all sockets, whether
or not their workers accept: while a worker is dead, starting, retiring or blocked, the clients
queued at its sockets would wait.  The supervisor process has all sockets too, and lends those of
such a worker to all others: they accept there until the worker's place has a responsive worker
again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dantetw.crew.messages import Lend, TakeBack
from dantetw.crew.workerprocess import WorkerProcess
from dantetw.net.channel import MOST_DESCRIPTORS
from dantetw.net.listening import Port
from dantetw.values import Endpoint


class Lending:
    """
    Keeps track of which workers accept at which sockets.

    :param number: the number of worker places.
    :ivar ports: all ports.
    """

    def __init__(self, number: int, ports: Mapping[Endpoint, Port]) -> None:
        self._number = number
        self.ports = ports

    def balance(self, workers: Collection[WorkerProcess]) -> None:
        """Lend sockets at which no worker accepts, and take back those of workers that do again."""
        accepting = [worker for worker in workers if worker.accepting]
        served = {worker.place for worker in accepting}
        if len(served) == self._number and not any(worker.loans for worker in accepting):
            return
        for worker in accepting:
            for place in sorted(worker.loans & served):
                worker.loans.discard(place)
                worker.send(TakeBack(place))
            for place in range(self._number):
                if place not in served and place not in worker.loans and self._lend(worker, place):
                    worker.loans.add(place)

    def renew(self, workers: Collection[WorkerProcess], ports: Mapping[Endpoint, Port]) -> None:
        """The ports have changed: lend new ones wherever others are lent."""
        self.ports = ports
        for worker in workers:
            for place in worker.loans:
                self._lend(worker, place)

    def _lend(self, worker: WorkerProcess, place: int) -> bool:
        """Lend the sockets of a place; False if there are too few descriptors for that."""
        own = {
            sock
            for port in self.ports.values()
            for sock in port.share_of(worker.place, self._number).sockets
        }
        descriptors = [
            sock.fileno()
            for port in self.ports.values()
            for sock in port.share_of(place, self._number).sockets
            if sock not in own
        ]
        try:
            for begin in range(0, len(descriptors), MOST_DESCRIPTORS):
                worker.send(Lend(place), descriptors[begin : begin + MOST_DESCRIPTORS])
        except OSError:
            return False  # tried again at the next look
        return True
