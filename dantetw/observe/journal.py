"""
The way in for events: what sessions and the server write to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from twisted.logger import ILogObserver, LogLevel

from dantetw.observe.events import Event, Message, Named
from dantetw.observe.observer import Observer
from dantetw.policy import Where
from dantetw.values import SEVERITY_DEBUG, Severity

# Found once: LogLevel makes a search of it.
_INFO: Final = LogLevel.info


class Journal:
    """
    What emitters write to.

    :param observer: where events go: the :class:`Observer`, or any other in tests.
    :ivar record: logs an event.  Ask the rule's mask first, build the event second.
    :ivar debug: the level of ``debug``, 0 to 2 (more is the same as 2).  Emitters ask it before
        they make anything for debug's sake.
    :ivar explains: whether a destination wants to know why rules blocked a session.
    """

    def __init__(self, observer: ILogObserver) -> None:
        self._observer = observer
        self.record = observer.record if isinstance(observer, Observer) else self._emit
        self.debug = 0
        self.explains = False

    def wants(self, severity: Severity) -> bool:
        """Whether messages of this severity are logged: those of debug need ``debug``."""
        return self.debug > 0 or severity is not SEVERITY_DEBUG

    def _emit(self, event: Event) -> None:
        # What Logger.emit would make, which takes longer over it than the rest of the line does.
        self._observer(
            {
                "log_time": time.time(),
                "log_level": _INFO,
                "log_namespace": "dantetw",
                "log_format": "{event}",
                "event": event,
            }
        )

    def message(
        self,
        severity: Severity,
        code: str,
        text: str,
        *,
        where: Where | None = None,
        named: Named = (),
    ) -> None:
        """
        Log a message of the server.

        :param code: a stable identifier such as ``server.running``.
        :param text: one line.
        :param where: the place in a configuration file that it is about.
        :param named: what of a client's may stand in the text.
        """
        self.record(Message(severity, code, text, where, named))

    def messages(self, severity: Severity, code: str, lines: Iterable[str]) -> None:
        """The same for several lines of one kind."""
        for line in lines:
            self.message(severity, code, line)
