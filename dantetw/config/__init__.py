"""
The configuration language: text into an immutable :class:`~dantetw.policy.Policy`.

Pure: what must be known of the machine is asked of a
:class:`~dantetw.config.machine.Machine`.  In the order of reading:

- :mod:`~dantetw.config.lexer`: bytes into tokens that know their line and column;
- :mod:`~dantetw.config.grammar`: tokens into a :mod:`~dantetw.config.tree`, going on after
  mistakes;
- :mod:`~dantetw.config.keywords`: the table of keywords, searched by
  :mod:`~dantetw.config.lookup`; their kinds of values are in
  :mod:`~dantetw.config.arguments` (addresses: :mod:`~dantetw.config.addressing`; both read from a
  :mod:`~dantetw.config.reader`), their words in :mod:`~dantetw.config.vocabulary` and
  :mod:`~dantetw.config.sockopts`;
- :mod:`~dantetw.config.settings` and :mod:`~dantetw.config.rule`: tree into policy, with
  :mod:`~dantetw.config.common`, :mod:`~dantetw.config.addresses` and
  :mod:`~dantetw.config.limits`; :mod:`~dantetw.config.forms` is how the log's destinations are
  told; :mod:`~dantetw.config.devices` recognises names of network interfaces,
  :mod:`~dantetw.config.absence` reports those that are missing,
  :mod:`~dantetw.config.fingerprint` identifies the text of a rule;
- :mod:`~dantetw.config.program`: what a configuration names of the program: kinds of log
  destinations, formats;
- :mod:`~dantetw.config.unsupported`: what is understood but not done yet;
- :mod:`~dantetw.config.checks`: Dante's checks of the whole; :mod:`~dantetw.config.lint`: ours;
- :mod:`~dantetw.config.load`: all of this in a row;
- :mod:`~dantetw.config.describing`: the policy in words, for ``debug``.

Problems are values (:mod:`~dantetw.config.problems`), gathered in a
:mod:`~dantetw.config.report`; all those of a file are found in one run.
"""

from dantetw.config.load import Parsed, load, parse
from dantetw.config.machine import Machine
from dantetw.config.problems import Problem
from dantetw.config.program import Program
from dantetw.config.unsupported import UNSUPPORTED
from dantetw.policy import Policy

__all__ = ["UNSUPPORTED", "Machine", "Parsed", "Policy", "Problem", "Program", "load", "parse"]
