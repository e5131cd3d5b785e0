"""
The configuration language: text into an immutable :class:`~dantetw.policy.Policy`.

Pure: the facts that it needs are arguments, those of the machine as a
:class:`~dantetw.config.machine.Machine`, those of the program as a
:class:`~dantetw.config.program.Program`.  In the order of reading:

- :mod:`~dantetw.config.lexer`: bytes into tokens that know their line and column;
- :mod:`~dantetw.config.grammar`: tokens into a :mod:`~dantetw.config.tree` of statements, going on
  after errors.  A statement is a :mod:`~dantetw.config.keyword` with its values, whose kinds are in
  :mod:`~dantetw.config.arguments` and which are read from a :mod:`~dantetw.config.reader`;
  :mod:`~dantetw.config.lookup` finds keywords;
- :mod:`~dantetw.config.keywords`: all keywords, a file for each concern: their rows, what they do
  to a :mod:`~dantetw.config.draft`, and their checks.  What they share:
  :mod:`~dantetw.config.addresses`, names of :mod:`~dantetw.config.interfaces`, and those that are
  :mod:`~dantetw.config.missing`;
- :mod:`~dantetw.config.compiler`: tree into policy, by the drafts of all concerns, each rule with
  its :mod:`~dantetw.config.fingerprint`;
- :mod:`~dantetw.config.unsupported`: refuses what is not supported yet;
- :mod:`~dantetw.config.lint`: our own warnings;
- :mod:`~dantetw.config.load`: all of this in a row;
- :mod:`~dantetw.config.description`: the policy in words, for ``debug``.

Problems are values (:mod:`~dantetw.config.problems`), gathered in a
:mod:`~dantetw.config.report`; all those of a file are found in one run.
"""

from dantetw.config.keywords.table import UNSUPPORTED
from dantetw.config.load import Parsed, load, parse
from dantetw.config.machine import Machine
from dantetw.config.problems import Problem
from dantetw.config.program import Program
from dantetw.policy import Policy

__all__ = ["UNSUPPORTED", "Machine", "Parsed", "Policy", "Problem", "Program", "load", "parse"]
