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

    def balance(self, children: Collection[WorkerProcess]) -> None:
        """Lend what no worker accepts at, and have returned what its own worker accepts at."""
        accepting = [child for child in children if child.accepting]
        served = {child.place for child in accepting}
        if len(served) == self._number and not any(child.loans for child in accepting):
            return
        for child in accepting:
            for place in sorted(child.loans & served):
                child.loans.discard(place)
                child.send(TakeBack(place))
            for place in range(self._number):
                if place not in served and place not in child.loans and self._lend(child, place):
                    child.loans.add(place)

    def renew(self, children: Collection[WorkerProcess], ports: Mapping[Endpoint, Port]) -> None:
        """The ports have changed: lend those that have come, wherever others are lent."""
        self.ports = ports
        for child in children:
            for place in child.loans:
                self._lend(child, place)

    def _lend(self, child: WorkerProcess, place: int) -> bool:
        """Lend the sockets of a place; False if there are too few descriptors for that."""
        own = {
            sock
            for port in self.ports.values()
            for sock in port.share_of(child.place, self._number).sockets
        }
        descriptors = [
            sock.fileno()
            for port in self.ports.values()
            for sock in port.share_of(place, self._number).sockets
            if sock not in own
        ]
        try:
            for begin in range(0, len(descriptors), MOST_DESCRIPTORS):
                child.send(Lend(place), descriptors[begin : begin + MOST_DESCRIPTORS])
        except OSError:
            return False  # tried again at the next look
        return True
