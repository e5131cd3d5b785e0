"""
Sockets of workers that do not accept, lent to those that do.

Each worker accepts at sockets of its own, among which the kernel distributes clients without
knowing who accepts: while a worker is dead, starting, retiring or standing still, the clients that
the kernel has given to its sockets would wait.  The supervisor process has all sockets too, and
lends those of such a worker to all the others: they accept there until the worker's place has a
worker again that responds.
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
    Who accepts at whose sockets.

    :param number: how many places for workers there are.
    :ivar ports: all there are.
    """

    def __init__(self, number: int, ports: Mapping[Endpoint, Port]) -> None:
        self._number = number
        self.ports = ports

    def balance(self, workers: Collection[WorkerProcess]) -> None:
        """Lend what no worker accepts at, and have returned what its own worker accepts at."""
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
        """The ports have changed: lend those that have come, wherever others are lent."""
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
