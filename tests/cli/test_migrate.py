"""Tests of :mod:`dantetw.cli.migrate`."""

from __future__ import annotations

import re

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.cli.migrate import migrate
from tests.config.fakes import HEAD, RULES, read
from tests.config.test_properties import QUICK, texts

#: What is written, and what becomes of it.
SAMPLES = (
    ("pass { from: 0/0 to: 0/0 }", "socks pass { from: 0/0 to: 0/0 }"),
    ("  block{\n from: 0/0 to: 0/0\n}", "  socks block{\n from: 0/0 to: 0/0\n}"),
    ("pass # old\n{ from: 0/0 to: 0/0 }", "socks pass # old\n{ from: 0/0 to: 0/0 }"),
    (
        "socks pass { from: 0/0 to: 0/0\n  method:  none # why\n}",
        "socks pass { from: 0/0 to: 0/0\n  socksmethod:  none # why\n}",
    ),
    (
        "client pass { from: 0/0 to: 0/0\n\tmethod :none\n}",
        "client pass { from: 0/0 to: 0/0\n\tclientmethod :none\n}",
    ),
    (
        "socks pass { from: 0/0 to: 0/0\n  pamservicename: x\n}",
        "socks pass { from: 0/0 to: 0/0\n  pam.servicename: x\n}",
    ),
    (
        "route { from: 0/0 to: 0/0 via: 10.0.0.1 port = 1080\n  method: none\n}",
        "route { from: 0/0 to: 0/0 via: 10.0.0.1 port = 1080\n  method: none\n}",
    ),
)
SETTINGS = (
    ("method: none username", "socksmethod: none username"),
    ("method: pam pam.any", "socksmethod: pam.username pam.any"),
    ("socksmethod: none \\\n pam # pam", "socksmethod: none \\\n pam.username # pam"),
    ("connecttimeout: 5 iotimeout: 6", "timeout.connect: 5 timeout.io: 6"),
    ("child.maxidle: yes # x", "# child.maxidle: yes # x"),
    ("debug: 0 localdomain: inet.no", "debug: 0 # localdomain: inet.no"),
    ("localdomain \\\n : \\\n inet.no \\\ndebug: 0", "# localdomain \\\n#  : \\\n#  inet.no \\\n"),
    ("user.notprivileged: nobody", "user.unprivileged: nobody"),
)
BARE = HEAD.replace("socksmethod: none\n", "")


def migrated(text: str | bytes) -> bytes:
    """A file with present keywords."""
    data = text if isinstance(text, bytes) else text.encode()
    found = migrate(data, "sockd.conf", PROGRAM)
    assert isinstance(found, bytes), found
    return found


def meaning(data: bytes) -> str:
    """What a file means, without the places; its errors if it means nothing."""
    parsed = read(data, {})
    if parsed.policy is None:
        return str(sorted(problem.text for problem in parsed.problems if problem.is_error))
    return re.sub(r"Where\(.*?\)", "", repr(parsed.policy))


def deprecated(data: bytes) -> list[str]:
    """Warnings of old names."""
    return [p.text for p in read(data, {}).problems if "is deprecated" in p.text and not p.is_error]


class MigrateTests(SynchronousTestCase):
    """Old names become present ones."""

    def check(self, old: str, new: str) -> None:
        """Check text, meaning and warnings, and that once is enough."""
        with self.subTest(old):
            self.assertEqual(migrated(old).decode(), new)
            self.assertEqual(migrated(new).decode(), new)
            self.assertEqual(deprecated(new.encode()), [])
            self.assertEqual(meaning(old.encode()), meaning(new.encode()))

    def test_rules(self) -> None:
        """In rules: what is old is replaced, all else stays, and the meaning too."""
        for old, new in SAMPLES:
            before = HEAD + (RULES if old.startswith(("pass", "  block", "route")) else "")
            self.check(before + old + "\n", before + new + "\n")

    def test_settings(self) -> None:
        """Among the settings likewise; what does nothing becomes a comment, on all of its lines."""
        for old, new in SETTINGS:
            if "debug: 0" in old and "debug: 0" not in new:
                new += "debug: 0"
            head = HEAD if "method" not in old else BARE
            self.check(head + old + "\n" + RULES, head + new + "\n" + RULES)

    def test_bytes(self) -> None:
        """Line ends, a byte-order mark, what is no UTF-8 and a last line without end are kept."""
        old = b"\xef\xbb\xbfiotimeout: 5 # \xe9\xff\r\n" + (HEAD + RULES).encode() + b"pass\r\n"
        old += b"{ from: 0/0\tto: 0/0 }\r\n\r\n# \xf0\x9f\x98\x80 } iotimeout: 5"
        new = old.replace(b"\xbfiotimeout", b"\xbftimeout.io").replace(b"pass\r", b"socks pass\r")
        self.assertEqual(migrated(old), new)

    def test_many(self) -> None:
        """No old name is left, also where there are more than are warned of."""
        old = HEAD + RULES + "pass { from: 0/0 to: 0/0 }\n" * 500
        new = migrated(old)
        self.assertEqual(new.count(b"\nsocks pass"), 501)
        self.assertEqual(deprecated(new), [])

    def test_elsewhere(self) -> None:
        """Interfaces and users that this machine lacks do not matter."""
        text = "external: nosuch0\nuser.privileged: nosuch\nmethod: none\n"
        self.assertEqual(migrated(text), text.replace("method", "socksmethod").encode())

    def test_wrong(self) -> None:
        """A file whose syntax is wrong is told of, and not touched."""
        problems = migrate(b"method: none\nnonsense: 1\n", "sockd.conf", PROGRAM)
        assert isinstance(problems, tuple)
        self.assertEqual([str(problem.where) for problem in problems], ["sockd.conf:2:1"])
        self.assertTrue(migrate(b"nonsense: 1\n" * 1000, "sockd.conf", PROGRAM))

    @QUICK
    @given(texts)
    def test_any(self, data: bytes) -> None:
        """Any bytes are told of or migrated, for good and to the same meaning."""
        new = migrate(data, "sockd.conf", PROGRAM)
        if isinstance(new, bytes):
            self.assertEqual(migrate(new, "sockd.conf", PROGRAM), new)
            self.assertEqual(deprecated(new), [])
            if b"\0" not in data:
                self.assertEqual(meaning(new), meaning(data))
