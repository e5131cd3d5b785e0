"""
What an account counts, and the order in which the counts are kept in memory.

Each count is a word of 8 bytes that never decreases.  What goes up and down, such as the number of
open sessions, is a difference of such counts.  The order of the words is the reverse of that in
which a session changes them.  So a process that reads them from first to last, while another
writes, reads the ends before the beginnings, and no difference is negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dantetw.values import Cause, Work, value

_WORKS: Final = tuple(Work)
_CAUSES: Final = tuple(Cause)

#: Place of a count: sessions that ended, by what was being done for them, and the cause.
ENDED: Final = {
    work: {cause: place * len(_CAUSES) + index for index, cause in enumerate(_CAUSES)}
    for place, work in enumerate(_WORKS)
}
#: Place of a count: sessions whose request was performed.
PERFORMED: Final = len(_WORKS) * len(_CAUSES)
#: Place of a count: sessions that have sent a request.
REQUESTED: Final = PERFORMED + 1
#: Place of a count: all sessions.
OPENED: Final = REQUESTED + 1
#: Places of counts: bytes from clients, bytes to clients, and datagrams likewise.
BYTES_UP: Final = OPENED + 1
BYTES_DOWN: Final = OPENED + 2
DATAGRAMS_UP: Final = OPENED + 3
DATAGRAMS_DOWN: Final = OPENED + 4
#: Number of counts.
COUNTS: Final = OPENED + 5

#: The counts of an account that has none.
ZEROS: Final = (0,) * COUNTS
# What a word can hold, plus one.
_WORD: Final = 2**64


@value
class AccountCounts:
    """
    The counts of an account, or the sum of several.

    ``requested`` and ``performed`` are counted of the server only, where the status report shows
    them.  In other accounts they are 0; there the ends alone say how far sessions had come.

    :ivar words: the counts in their order in memory.
    """

    words: Sequence[int] = ZEROS

    @property
    def opened(self) -> int:
        """Sessions that were charged to it."""
        return self.words[OPENED]

    @property
    def requested(self) -> int:
        """Sessions that have sent a request."""
        return self.words[REQUESTED]

    @property
    def performed(self) -> int:
        """Sessions whose request was performed: what they sent and received was relayed."""
        return self.words[PERFORMED]

    @property
    def open(self) -> int:
        """Sessions that are open."""
        return self.opened - sum(self.words[:PERFORMED])

    @property
    def bytes_up(self) -> int:
        """Bytes from clients."""
        return self.words[BYTES_UP]

    @property
    def bytes_down(self) -> int:
        """Bytes to clients."""
        return self.words[BYTES_DOWN]

    @property
    def datagrams_up(self) -> int:
        """Datagrams from clients."""
        return self.words[DATAGRAMS_UP]

    @property
    def datagrams_down(self) -> int:
        """Datagrams to clients."""
        return self.words[DATAGRAMS_DOWN]

    def ended(self, work: Work) -> int:
        """Sessions that ended while this was being done for them."""
        return sum(self.words[place] for place in ENDED[work].values())

    def ended_by(self, cause: Cause) -> int:
        """Sessions that ended of a cause after their request was performed."""
        return self.words[ENDED[Work.IO][cause]]

    def refused_by(self, cause: Cause) -> int:
        """Sessions that ended of a cause before their request was performed."""
        return sum(self.words[ENDED[work][cause]] for work in (Work.NEGOTIATE, Work.REQUEST))

    def __add__(self, other: AccountCounts) -> AccountCounts:
        return AccountCounts(
            tuple(mine + its for mine, its in zip(self.words, other.words, strict=True))
        )

    def __sub__(self, earlier: AccountCounts) -> AccountCounts:
        """What was counted since."""
        return AccountCounts(
            tuple((mine - its) % _WORD for mine, its in zip(self.words, earlier.words, strict=True))
        )
