"""
Fair scheduling: which client's job runs next, and how many jobs of a client may wait.

Passwords and names are checked in few threads or processes, and any client can cause checks.
:class:`FairQueue` decides what runs next, by these rules:

1. A client is an IPv4 address or an IPv6 /64 (:func:`client_of`): addresses within a /64 cost
   nothing.
2. Clients are served round-robin; the jobs of one client stay in order.  Where :data:`CROWD`
   clients wait, the first job of a new client runs before theirs: more come than can be served,
   and in order all would be served when they have given up.
3. A client may use one in ``share`` of the slots that are *free*, rounded up.  A fixed share of all
   slots would let a fixed number of clients take all of them; a share of what is free leaves some
   to later clients.
4. Clients with the fewest recent faults (a wrong password, a name server that does not answer) go
   first, and each fault halves a client's places to wait.  So a client that mistypes a password is
   served before one that guesses.  One fault is forgiven every :data:`FORGIVE_SECONDS`: not sooner,
   since a client may be served no more often than that where many wait.
5. A job that runs longer than ``slow`` seconds counts as a fault while it still runs.
6. Clients with faults together use at most half of the slots; what is free of these is what rule 3
   means for them.
7. Every :data:`OLDEST_EVERY` th job taken from the queue is the one that has waited longest,
   whatever its client's faults, so that no job waits forever.
8. A full queue drops the last job of the client with the most faults and the most jobs in favour of
   one that is no worse.

Nothing here waits, starts a thread or reads a clock of its own.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

#: Of the places to wait, the part that one client gets at most.
PLACES_SHARE: Final = 4

#: The fewest places to wait that faults leave a client, as a part of all places.
FEWEST_SHARE: Final = 16

#: Seconds after which one fault is forgiven.
FORGIVE_SECONDS: Final = 60.0

#: Faults that count at most.
MOST_FAULTS: Final = 6

#: Clients whose faults are remembered; the one whose last fault is oldest is forgotten first.
REMEMBERED: Final = 4096

#: Waiting clients from which on rule 2's exception holds.
CROWD: Final = 16

#: One in so many jobs taken from the queue is taken regardless of faults.
OLDEST_EVERY: Final = 4

# Networks in which every address may be another client: the hosts of a link, and IPv4 clients that
# come through a translator (RFC 6052).
_SINGLE: Final = (ipaddress.IPv6Network("fe80::/64"), ipaddress.IPv6Network("64:ff9b::/96"))
_NETWORK_BITS: Final = 64

# Characters of a client's name that count; those that :func:`client_of` makes are shorter.
_NAME_LENGTH: Final = 80


class BusyError(Exception):
    """There is no place to wait, or a better job has taken it."""


def client_of(address: str) -> str:
    """
    The client that a numeric address belongs to.

    :returns: an IPv4 address as it is, of an IPv6 address its /64; other text as it is, cut to a
        length that may be kept.
    """
    if ":" not in address:
        return address[:_NAME_LENGTH]
    try:
        number = ipaddress.IPv6Address(address)
    except ValueError:
        return address[:_NAME_LENGTH]
    plain = ipaddress.IPv6Address(int(number))  # without a zone
    if any(plain in network for network in _SINGLE):
        return address[:_NAME_LENGTH]
    prefix = int(plain) >> _NETWORK_BITS << _NETWORK_BITS
    return f"{ipaddress.IPv6Address(prefix)}/{_NETWORK_BITS}"


class Ticket:
    """
    A job's place in a :class:`FairQueue`.

    :ivar owner: the client on whose behalf; empty: our own, which has no share to keep to.
    :ivar begun_at: seconds of the clock at which it began; None: it waits.
    :ivar number: in order of arrival among those that wait.
    """

    __slots__ = ("begun_at", "number", "owner")

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self.begun_at: float | None = None
        self.number = 0


_Turn = TypeVar("_Turn", bound=Ticket)


class FairQueue(Generic[_Turn]):
    """
    The jobs that run and those that wait.

    :meth:`start` a job, or :meth:`add` it to those that wait if that cannot be; :meth:`finish` each
    that has ended, and :meth:`take` jobs then until there are none to begin.

    :ivar slots: jobs that may run at once; may be changed.
    :param places: jobs that may wait.
    :param seconds: the clock, monotonic.
    :param share: see rule 3 above.
    :param slow: seconds, see rule 5 above.
    """

    def __init__(
        self,
        slots: int,
        places: int,
        seconds: Callable[[], float],
        share: int = 2,
        slow: float = float("inf"),
    ) -> None:
        self.slots = slots
        self._places: Final = places
        self._seconds: Final = seconds
        self._share: Final = share
        self._slow: Final = slow
        self._running: dict[str, list[_Turn]] = {}
        self._waiting: OrderedDict[str, deque[_Turn]] = OrderedDict()
        self._used = self._count = self._added = self._taken = 0
        # Whether a job that waits may have become able to begin since none was.
        self._changed = False
        # Faults and when they were that many, the oldest first.
        self._faults: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def running(self) -> int:
        """Jobs that run."""
        return self._used

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return self._count

    def faults(self, owner: str) -> int:
        """The faults that count against a client now, at most :data:`MOST_FAULTS`."""
        if not owner:
            return 0
        if owner not in self._faults and owner not in self._running:
            return 0
        now = self._seconds()
        count = self._left(owner, now)
        for job in self._running.get(owner, ()):
            assert job.begun_at is not None
            count += now - job.begun_at > self._slow
        return min(MOST_FAULTS, -int(-count // 1))

    def _left(self, owner: str, now: float) -> float:
        """Faults of the past that have not been forgiven."""
        count, since = self._faults.get(owner, (0.0, now))
        return max(0.0, count - (now - since) / FORGIVE_SECONDS)

    def blame(self, owner: str) -> None:
        """Count a fault against a client."""
        if not owner:
            return
        now = self._seconds()
        self._faults[owner] = (min(MOST_FAULTS, self._left(owner, now) + 1), now)
        self._faults.move_to_end(owner)
        if len(self._faults) > REMEMBERED:
            self._faults.popitem(last=False)

    def start(self, job: _Turn) -> bool:
        """Begin a job at once if that is fair; False if it must wait."""
        owner = job.owner
        if self._used >= self.slots or owner in self._waiting:
            return False
        free = self._free_for_blamed() if self.faults(owner) else self.slots - self._used
        if not self._has_slot(owner, free):
            return False
        self._begin(job)
        return True

    def add(self, job: _Turn) -> _Turn | None:
        """
        Let a job wait.

        :returns: the job that was dropped for it, if one was.
        :raises BusyError: if there is no place for it.
        """
        owner, dropped = job.owner, None
        if self._of(owner) >= self._places_of(owner):
            raise BusyError
        if self._count >= self._places:
            dropped = self._drop_for(owner)
        self._added += 1
        job.number = self._added
        self._append(job)
        return dropped

    def _append(self, job: _Turn) -> None:
        """Let a job be the last of its client's."""
        queue = self._waiting.get(job.owner)
        if queue is None:
            queue = self._waiting[job.owner] = deque()
            if len(self._waiting) > CROWD:
                self._waiting.move_to_end(job.owner, last=False)
        queue.append(job)
        self._count += 1

    def better(self, owner: str, other: str) -> bool:
        """Whether a client's next job would begin before another's: fewer faults, fewer jobs."""
        return self._rank(owner) < self._rank(other)

    def remove(self, job: _Turn) -> bool:
        """Take back a job that waits; False if it does not."""
        queue = self._waiting.get(job.owner)
        if job.begun_at is not None or queue is None or job not in queue:
            return False
        queue.remove(job)
        self._count -= 1
        if not queue:
            del self._waiting[job.owner]
        return True

    def reassign(self, job: _Turn, owner: str) -> None:
        """Let a job that waits be the last of another client's, whatever places that one has."""
        if self.remove(job):
            job.owner = owner
            self._append(job)
            self._changed = True

    def clear(self) -> None:
        """Drop all jobs that wait."""
        self._waiting.clear()
        self._count = 0

    def take(self) -> _Turn | None:
        """The job to begin now, which then runs; None if there is none or no slot for it."""
        owner = self._next() if self._changed else None
        if owner is None:
            self._changed = False
            return None
        queue = self._waiting[owner]
        job = queue.popleft()
        self._count -= 1
        if queue:
            self._waiting.move_to_end(owner)
        else:
            del self._waiting[owner]
        self._begin(job)
        return job

    def finish(self, job: _Turn, fault: bool = False) -> None:
        """
        A job that was taken has ended.

        :param fault: count it against the client, which is also done if it took too long.
        """
        owner = job.owner
        running = self._running[owner]
        running.remove(job)
        if not running:
            del self._running[owner]
        # While slots are free others wait for their own jobs only, or for those of the blamed.
        was_full = self._used >= self.slots
        self._used -= 1
        assert job.begun_at is not None
        if fault or self._seconds() - job.begun_at > self._slow:
            self.blame(owner)
        if was_full or owner in self._waiting or self.faults(owner):
            self._changed = True

    def _begin(self, job: _Turn) -> None:
        job.begun_at = self._seconds()
        self._used += 1
        self._running.setdefault(job.owner, []).append(job)

    def _next(self) -> str | None:
        """The client whose job begins now."""
        if self._used >= self.slots or not self._count:
            return None
        oldest = (self._taken + 1) % OLDEST_EVERY == 0
        free, free_for_blamed = self.slots - self._used, self._free_for_blamed()
        best, least = None, float("inf")
        for owner, queue in self._waiting.items():
            faults = self.faults(owner)
            rank = queue[0].number if oldest else faults
            if rank >= least or not self._has_slot(owner, free_for_blamed if faults else free):
                continue
            best, least = owner, rank
            if not rank:
                break
        if best is not None:
            self._taken += 1
        return best

    def _has_slot(self, owner: str, free: int) -> bool:
        """Whether a client may begin another job, of what is free for clients like it."""
        if not owner:
            return True
        # Rounded up; none of none.
        return len(self._running.get(owner, ())) < -(-free // self._share)

    def _free_for_blamed(self) -> int:
        """Slots that clients with faults may still begin jobs in."""
        used = sum(len(jobs) for owner, jobs in self._running.items() if self.faults(owner))
        return min(self.slots - self._used, max(1, self.slots // 2) - used)

    def _of(self, owner: str) -> int:
        return len(self._waiting.get(owner, ()))

    def _places_of(self, owner: str) -> int:
        if not owner:
            return self._places
        fewest = max(1, self._places // FEWEST_SHARE)
        return max(fewest, self._places // PLACES_SHARE >> self.faults(owner))

    def _rank(self, owner: str) -> tuple[int, int]:
        return self.faults(owner), self._of(owner)

    def _drop_for(self, owner: str) -> _Turn:
        """Make room for a client's job: drop the last one of the client that ranks worst."""
        # Of equals that whose turn is last.
        worst = max(reversed(self._waiting), key=self._rank, default="")
        faults, count = self._rank(owner)
        if not worst or self._rank(worst) < (faults, count + 1):
            raise BusyError
        dropped = self._waiting[worst][-1]
        self.remove(dropped)
        return dropped
