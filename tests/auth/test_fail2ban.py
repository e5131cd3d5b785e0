"""The fail2ban filter in the documentation finds what it should, and only that."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.auth.interfaces import AuthenticationFailed

PAGE = Path(__file__).parents[2] / "docs" / "authentication.rst"

# What fail2ban puts in the place of its tag: an IPv4 or IPv6 address.
ADDRESS = r"(?P<address>(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{1,4}::?|::){1,7}[0-9a-fA-F]{1,4})"

START = "Nov 23 03:34:28 (1795404868.842554) danted[24608]: info: "
SYSLOG = "Nov 23 03:34:28 gate danted[24608]: info: "
BARE = "Nov 23 03:34:28 danted[24608]: info: "
# What rsyslogd makes of a message that it got as RFC 5424 has it.
REMOTE = "Nov 23 03:34:28 gate danted[24608] info: "
DATE = re.compile(r"^\w{3} \d\d \d\d:\d\d:\d\d")


def line(
    text: str,
    start: str = START,
    client: str = "192.0.2.7.59042",
    local: str = "198.51.100.1.1080",
    rule: int = 1,
) -> str:
    """A line about a client that failed in negotiation."""
    return (
        f"{start}block({rule}): tcp/accept ]: {client} {local}: "
        f"error after reading 20 bytes in 0 seconds: {text}"
    )


class FilterTests(SynchronousTestCase):
    """Tests for the filter."""

    def setUp(self) -> None:
        """Read the page."""
        if not PAGE.exists():
            raise SkipTest("the documentation is not here")
        self.page = PAGE.read_text()
        found = re.search(r"failregex = (.*)", self.page)
        assert found is not None
        self.filter = re.compile(found[1].replace("<ADDR>", ADDRESS))

    def address_in(self, text: str) -> str | None:
        """The address that fail2ban would block; it cuts the date out first."""
        found = self.filter.search(DATE.sub("", text))
        return found["address"] if found else None

    def test_samples_on_the_page(self) -> None:
        """The sample lines on the page are found."""
        samples = [text.strip() for text in self.page.splitlines() if "tcp/accept ]: 192" in text]
        self.assertEqual(len(samples), 4)
        for sample in samples:
            self.assertEqual(self.address_in(sample), "192.0.2.7")

    def test_found(self) -> None:
        """Wrong logins are found, whatever the name, the rule, the family and the output."""
        for name in ("bob", "al smith", "x.y@z", "\x1b[1m", 'a"b', "é", ""):
            for failed in (
                AuthenticationFailed.wrong_password(name),
                AuthenticationFailed.no_record(name),
                AuthenticationFailed.no_record(name, "Permission denied"),
            ):
                for start in (START, SYSLOG, BARE, REMOTE):
                    self.assertEqual(self.address_in(line(str(failed), start)), "192.0.2.7")
        failed = AuthenticationFailed.wrong_password("bob")
        sample = line(str(failed), client="2001:db8::7.59042", local="2001:db8::1.1080", rule=12)
        self.assertEqual(self.address_in(sample), "2001:db8::7")

    def test_pam(self) -> None:
        """So are those that PAM refused, at once or late, of clients with and without a name."""
        for name in ("bob", 'a" failed: x', "al smith", ""):
            text = f'pam_authenticate() for user "{name}" failed: Authentication failure'
            late = f"blocked by higher-level socks-rule #12: {text}"
            for client in ("192.0.2.7.59042", "rfc931%joe-1@192.0.2.7.59042"):
                told = line(text, client=client)
                self.assertEqual(self.address_in(told), "192.0.2.7")
                told = f"{START}block(1): tcp/accept ]: {client} 198.51.100.1.1080: {late}"
                self.assertEqual(self.address_in(told), "192.0.2.7")

    def test_ident_blocks_nobody_else(self) -> None:
        """A name that a client's own host gives cannot pass for somebody's address."""
        text = 'could not access user "x"'
        for name in ("x@203.0.113.9.1", "203.0.113.9.1", "@203.0.113.9.1", "x@203.0.113.9.1%y"):
            told = line(text, client=f"rfc931%{name}@192.0.2.7.59042")
            self.assertIn(self.address_in(told), (None, "192.0.2.7"))

    def test_ident(self) -> None:
        """So are names that ident gave and the system does not know."""
        text = 'no user "eve" found in system password file'
        told = f"{START}block(1): tcp/accept ]: rfc931%eve@192.0.2.7.1 192.0.2.1.1080: {text}"
        self.assertEqual(self.address_in(told), "192.0.2.7")
        late = told.replace(": no user", ": blocked by higher-level socks-rule #2: no user")
        self.assertEqual(self.address_in(late), "192.0.2.7")

    def test_not_found(self) -> None:
        """Other failures are not found."""
        for text in (
            "client offered no acceptable authentication method",
            "too many logins are waiting to be checked",
            "eof from local client",
        ):
            self.assertIsNone(self.address_in(line(text)))

    def test_nobody_blocks_others(self) -> None:
        """A user name that looks like a line blocks the one who sent it."""
        forged = line('system password authentication failed for user "x', client="203.0.113.9.1")
        for name in (forged, "\n" + forged, forged.partition("info: ")[2]):
            failed = AuthenticationFailed.wrong_password(name)
            self.assertEqual(self.address_in(line(str(failed))), "192.0.2.7")
            session = f"{START}pass(1): tcp/connect [: username%{name}@192.0.2.7.1 192.0.2.1.1080"
            self.assertIsNone(self.address_in(session.replace("\n", "\\n")))
