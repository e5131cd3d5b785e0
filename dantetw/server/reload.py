"""
Reloading on SIGHUP, from the signal to the two log lines.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.config import Parsed
from dantetw.crew.errors import UnusableError
from dantetw.observe.journal import Journal
from dantetw.process.notifying import Notifier
from dantetw.threads import Threads
from dantetw.values import Severity

_log = Logger()


class Reload:
    """
    Reloads the configuration: all of it is applied, or none.

    Reloads run one at a time: any number of requests during one cause a single one after it.

    :param fetch: returns the function that reads the configuration, which runs in a thread.  May
        raise :exc:`UnusableError`, as may ``change``.
    :param change: applies the new configuration, or changes nothing.
    :param notifier: notifies the service manager when one begins and ends.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        fetch: Callable[[], Callable[[], Parsed]],
        change: Callable[[Parsed], Coroutine[Any, Any, None]],
        notifier: Notifier | None = None,
    ) -> None:
        self._journal = journal
        self._fetch = fetch
        self._change = change
        self._notifier = Notifier() if notifier is None else notifier
        self._threads = Threads(reactor, 1, 0, "reload")
        self._active = self._again = self._stopped = False

    def ask(self) -> None:
        """Begin a reload; during one, schedule another behind it."""
        if self._stopped:
            return
        if self._active:
            self._again = True
            return
        self._active = True
        self._notifier.reloading()
        self._journal.message(Severity.INFO, "server.reload", "SIGHUP [: reloading config")
        try:
            thd_parse = self._fetch()
        except UnusableError as unusable:
            self._end(str(unusable))
        else:
            self._threads.submit(thd_parse, self._parsed)

    def stop(self) -> None:
        """Begin no more, and end the current one without logging anything."""
        self._stopped = True
        self._threads.stop()

    def _parsed(self, parsed: Parsed | Failure) -> None:
        Deferred.fromCoroutine(self._make(parsed))

    async def _make(self, parsed: Parsed | Failure) -> None:
        """Make the change."""
        refusal = ""
        try:
            if isinstance(parsed, Failure):
                parsed.raiseException()
            await self._change(parsed)
        except UnusableError as unusable:
            refusal = str(unusable)
        except Exception:
            # A bug must not keep the next reload from being tried.
            _log.failure("Failure in a reload")
            refusal = "internal error"
        if not self._stopped:
            self._end(refusal)

    def _end(self, refusal: str) -> None:
        """Log how it ended; ``refusal``: why the new configuration is not used, if it is not."""
        text = "SIGHUP ]: config reloaded.  Broadcasting to children to do the same"
        severity = Severity.INFO
        if refusal:
            self._journal.message(Severity.ERROR, "server.reload", refusal)
            text = "SIGHUP ]: the new config cannot be used; the old one stays in force"
            severity = Severity.WARNING
        self._journal.message(severity, "server.reload", text)
        self._active = False
        self._notifier.reloaded()
        if self._again:
            self._again = False
            self.ask()
