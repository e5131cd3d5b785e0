"""Tests for :mod:`dantetw.config.load`: files, and what is better than in Dante on purpose."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import load
from dantetw.config.lexer import LARGEST_FILE
from tests.config.fakes import (
    HEAD,
    RULES,
    SYSTEM,
    errors,
    policy_of,
    read,
    with_globals,
    with_rules,
)


class LoadTests(SynchronousTestCase):
    """Reading a file."""

    def test_file(self) -> None:
        """A good file becomes a policy that knows its name."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(HEAD + RULES)
        parsed = load(path, SYSTEM, PROGRAM)
        self.assertEqual((policy_of(parsed).file, parsed.problems), (path, ()))

    def test_unreadable(self) -> None:
        """What cannot be read is an error that says why, in Dante's words."""
        missing, directory, empty = self.mktemp(), self.mktemp(), self.mktemp()
        os.mkdir(directory)
        with open(empty, "w"):
            pass
        for path, text in (
            (missing, f"could not open config file {missing}: No such file or directory"),
            (directory, f"could not open config file {directory}: Is a directory"),
            (empty, f"config file {empty} is empty.  Not parsing"),
            ("a\0b", "could not open config file a\0b: embedded null byte"),
        ):
            parsed = load(path, SYSTEM, PROGRAM)
            self.assertIs(parsed.policy, None)
            (problem,) = parsed.problems
            self.assertEqual(problem.text, f"parseconfig(): {text}")
            self.assertTrue(problem.render().isprintable())

    def test_largest(self) -> None:
        """A file of up to 1 MiB is read, a larger one not."""
        text = HEAD + RULES
        fill = "#" * (LARGEST_FILE - len(text))
        policy_of(read(text + fill))
        (problem,) = read(text + fill + "#").problems
        self.assertIn("larger than 1048576 bytes", problem.text)

    def test_nul(self) -> None:
        """A NUL byte is one error, at its place."""
        self.assertEqual(
            errors(read(b"debug: 1\n# a\0b\nfoo\n")), ["2:4 NUL byte in the configuration file"]
        )

    def test_many_rules(self) -> None:
        """Two thousand rules are read in a time that nobody notices."""
        rules = "".join(
            f"socks pass {{\n from: 10.{n >> 8}.{n & 255}.0/24 to: host{n}.example port = 443\n"
            f" command: connect\n log: connect error\n}}\n"
            for n in range(2000)
        )
        before = time.process_time()
        policy = policy_of(with_rules(rules))
        self.assertEqual(len(policy.socks_rules), 2000)
        # It takes a second; the limit is for what is quadratic, not for slow machines.
        self.assertLess(time.process_time() - before, 20)


class BetterTests(SynchronousTestCase):
    """Rows of docs/differences.rst that turn Dante's refusal into acceptance, or the reverse."""

    def test_accepted(self) -> None:
        """Dante refuses these, or reads something else."""
        for text in (
            (HEAD + RULES).replace("\n", "\r\n"),
            (HEAD + RULES).replace("\n", "\r\n") + "\r",
            "\ufeff" + HEAD + RULES,
            "\ufeff" + (HEAD + RULES).replace("\n", "\r\n"),
            HEAD + "# é\n" + RULES.replace("0/0 }", "0/0 } # ü\n", 1),
            HEAD + RULES.replace("client pass", "client\tpass"),
            (HEAD + RULES).replace("stderr", "stderr #comment"),
            (HEAD + RULES).replace(": root", ": root #comment"),
            (HEAD + RULES).replace("from: 0/0", "from: 10.0.0.0/255.0.0.0"),
            (HEAD + RULES).replace("from: 0/0", "from:0.0.0.0/0"),
            (HEAD + RULES).replace("from: 0/0", "from: 0 / 0"),
            (HEAD + RULES).replace("internal: ", "internal:"),
        ):
            parsed = read(text)
            policy = policy_of(parsed)
            self.assertEqual([output.text for output in policy.logging.outputs], ["stderr"])
            self.assertEqual((len(policy.client_rules), len(policy.socks_rules)), (1, 1))

    def test_non_ascii_names(self) -> None:
        """In a name a non-ASCII character is one like others."""
        head = HEAD.replace("socksmethod: none", "socksmethod: username")
        parsed = with_rules("socks pass { from: 0/0 to: bücher.example\nuser: jürgen\n}", head)
        rule = policy_of(parsed).socks_rules[0]
        self.assertEqual((rule.target.name, rule.users), ("bücher.example", {"jürgen"}))

    def test_no_silent_end(self) -> None:
        """Dante ignores all that follows a non-ASCII character; we do not."""
        for text in (HEAD + RULES + "é foo\n", HEAD + "\xa0debug: 1\n" + RULES):
            self.assertEqual(len(errors(read(text))), 1)

    def test_refused(self) -> None:
        """Dante takes these, and means something else or aborts."""
        for parsed in (
            with_rules("socks pass { from: 0/0 to: {{address}} }"),
            with_rules("socks pass { from: 0/0 to: 0/0 log: connecterror }"),
            with_globals("timeout.io: 2147483648"),
            with_globals("external.tcp.tcp_nodelay: yes"),
        ):
            self.assertEqual(len(errors(parsed)), 1)
