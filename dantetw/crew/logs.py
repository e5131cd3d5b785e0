"""
The log of a process: from its settings in a policy to an observer that writes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from dantetw import catalogue
from dantetw.config.description import describe
from dantetw.config.problems import Problem
from dantetw.crew.errors import UnusableError
from dantetw.net.batch import Batch
from dantetw.net.errors import words_of_error
from dantetw.observe.events import Message
from dantetw.observe.journal import Journal
from dantetw.observe.observer import Observer
from dantetw.observe.privacy import Private
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import Outputs, build_sinks
from dantetw.observe.tallies import Tallies
from dantetw.policy import PLAIN_FORM, Form, Policy
from dantetw.values import Severity

#: Seconds that slow destinations have at the end.
LAST_FLUSH_SECONDS: Final = 2.0
#: Bytes of a key of pseudonyms from a file, at least and at most.
SHORTEST_KEY, LONGEST_KEY = 16, 4096
#: Bytes of a generated key of pseudonyms.
OWN_KEY: Final = 32


class Logs:
    """
    The observer and the journal of a process.

    :param debug: level of the command line, which overrides ``debug:``; None: there is none.
    :ivar key: of pseudonyms, where the configuration names no file with one.
    :ivar turn: to whose end the lines of sessions are put off.
    :ivar problems: the logged errors of destinations that could not be opened the last time.
    """

    def __init__(self, reactor: Any, debug: int | None) -> None:
        self._debug = debug
        self._run = f"{int(time.time() * 1000):x}-{os.getpid():x}-"
        self.key = os.urandom(OWN_KEY)
        self.problems: tuple[Message, ...] = ()
        self._tallies = Tallies()
        self.observe(reactor)

    def key_of(self, policy: Policy, opener: Callable[[str, int], int]) -> bytes:
        """
        The key of pseudonyms.

        :param opener: opens the file with it, if the policy names one.
        :raises UnusableError: if that cannot be used.
        """
        if policy.logging.hash_key_file is None:
            return self.key
        try:
            with open(policy.logging.hash_key_file, "rb", opener=opener) as file:
                key = file.read(LONGEST_KEY).strip()
        except OSError as failed:
            reason = words_of_error(failed)
            raise UnusableError(f"log.hashkey: {policy.logging.hash_key_file}: {reason}") from None
        if len(key) < SHORTEST_KEY:
            text = f"log.hashkey: {policy.logging.hash_key_file}: less than {SHORTEST_KEY} bytes"
            raise UnusableError(text)
        return key

    def observe(self, reactor: Any, worker: int | None = None) -> None:
        """
        Observe with this reactor from now on, with no destination until :meth:`open`.

        :param worker: which of the workers this process is, from 0.
        """
        self.turn = Batch()
        self.observer = Observer(
            catalogue.FORMATS["dante"](False, ""),
            None,
            reactor.callFromThread,
            reactor.callLater,
            self.turn,
        )
        if worker is not None and self.observer.repeats is not None:
            self.observer.repeats.tally = self._tallies.of(worker)
        self.journal = Journal(self.observer)

    def count_alone(self) -> None:
        """Summarise repeated messages without the other workers from now on."""
        if self.observer.repeats is not None:
            self.observer.repeats.alone()

    def open(
        self,
        policy: Policy,
        key: bytes,
        surroundings: Surroundings,
        reload: bool = False,
        known: Sequence[Message] = (),
    ) -> bool:
        """
        Log to the destinations of a policy, in its formats.

        :param key: of pseudonyms.
        :param known: problems that another process has logged.
        :returns: False if at a reload the old destinations stay in use.
        """
        outputs = build_sinks(policy, surroundings, catalogue.SINKS, reload)
        self.problems = outputs.problems
        outputs = replace(outputs, known=tuple(known))
        self.use(policy, key, outputs)
        return not outputs.kept

    def use(self, policy: Policy, key: bytes, outputs: Outputs) -> None:
        """The same with destinations that have been opened."""
        level = self._debug
        debug = level if level is not None else max(policy.logging.debug, 0)
        forms = {output.form for output in (*policy.logging.outputs, *policy.logging.errors)}
        formats = {form: self._format(form, debug, key) for form in {PLAIN_FORM, *forms}}
        self.observer.configure(outputs, debug, formats)
        self.journal.debug = debug
        self.journal.explains = any(form.format != PLAIN_FORM.format for form in forms)

    def describe(self, policy: Policy) -> None:
        """Log with ``debug`` how a policy was understood."""
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "config.understood", describe(policy))

    def warn(self, problems: Sequence[Problem]) -> None:
        """Log the problems of a configuration."""
        for problem in problems:
            if problem.ours and problem.severity is Severity.NOTICE:
                continue  # for ``sockd check``
            text, where = problem.one_line(), problem.where
            place = where if where.line else None
            self.journal.message(problem.severity, "config.problem", text, where=place)

    def _format(self, form: Form, debug: int, key: bytes) -> Any:
        """The formatter for destinations of a form."""
        format = catalogue.FORMATS[form.format](debug > 0, self._run)
        return Private(format, form, key) if form.omit or form.hash else format
