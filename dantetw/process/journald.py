"""
Standard output and error that lead to systemd's journal.

twistd points them to ``/dev/null`` in the background.  A new server that ``systemctl reload``
starts there would log nowhere, where the one that it replaces logs to standard output.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

#: Where the service manager says which of our descriptors are the journal's: device and inode
#: (:manpage:`systemd.exec(5)`).
VARIABLE: Final = "JOURNAL_STREAM"

_STREAMS: Final = (1, 2)


class JournalStreams:
    """Those of standard output and error that lead to the journal now."""

    def __init__(self) -> None:
        self._kept: dict[int, int] = {}
        told = os.environ.get(VARIABLE, "")
        for stream in _STREAMS:
            with suppress(OSError):
                found = os.fstat(stream)
                if told == f"{found.st_dev}:{found.st_ino}":
                    self._kept[stream] = os.dup(stream)

    def restore(self) -> None:
        """Let them lead there again."""
        while self._kept:
            stream, kept = self._kept.popitem()
            os.dup2(kept, stream)
            os.close(kept)
