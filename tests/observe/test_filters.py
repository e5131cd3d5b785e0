"""Tests of :mod:`dantetw.observe.filters`."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.keywords.filters import symbols
from dantetw.net.errors import eai_symbol_of, symbol_of
from dantetw.observe.filters import ErrorFilters
from dantetw.policy import BUILT_IN, Edge, ErrorFilter, LoggingPolicy, Policy, Rule
from dantetw.values import Severity
from tests.observe.making import rule
from tests.session.world import HEAD, OPEN, compiled

#: What section 8.2 of the reference says of Dante 1.4.2 and glibc.
NO_ROUTE = {"ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ETIMEDOUT"}
DNS_ANY = {
    "EAI_AGAIN",
    "EAI_BADFLAGS",
    "EAI_FAIL",
    "EAI_FAMILY",
    "EAI_MEMORY",
    "EAI_NONAME",
    "EAI_OVERFLOW",
    "EAI_SERVICE",
    "EAI_SOCKTYPE",
    "EAI_SYSTEM",
}
_SYSTEM_ANY = """
E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EADV EAFNOSUPPORT EAGAIN EALREADY EBADE EBADF EBADFD EBADMSG
EBADR EBADRQC EBADSLT EBFONT EBUSY ECANCELED ECHILD ECHRNG ECOMM ECONNABORTED ECONNREFUSED
ECONNRESET EDEADLK EDEADLOCK EDESTADDRREQ EDOM EDQUOT EEXIST EFAULT EFBIG EHOSTDOWN EHOSTUNREACH
EIDRM EILSEQ EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC
ELIBBAD ELIBEXEC ELIBMAX ELIBSCN ELNRNG ELOOP EMEDIUMTYPE EMFILE EMLINK EMSGSIZE EMULTIHOP
ENAMETOOLONG ENETDOWN ENETRESET ENETUNREACH ENFILE ENOANO ENOBUFS ENOCSI ENODATA ENODEV ENOENT
ENOEXEC ENOLCK ENOLINK ENOMEDIUM ENOMEM ENOMSG ENONET ENOPKG ENOPROTOOPT ENOSPC ENOSR ENOSTR ENOSYS
ENOTBLK ENOTCONN ENOTDIR ENOTEMPTY ENOTRECOVERABLE ENOTSOCK ENOTSUP ENOTTY ENOTUNIQ ENXIO EOPNOTSUPP
EOVERFLOW EOWNERDEAD EPERM EPFNOSUPPORT EPIPE EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EREMCHG
EREMOTE ERESTART EROFS ESHUTDOWN ESOCKTNOSUPPORT ESPIPE ESRCH ESRMNT ESTALE ESTRPIPE ETIME ETIMEDOUT
ETOOMANYREFS ETXTBSY EUNATCH EUSERS EWOULDBLOCK EXDEV EXFULL
"""
SYSTEM_ANY = _SYSTEM_ANY.split()

POLICY: Policy = compiled(HEAD + OPEN)

entries = st.lists(
    st.builds(
        ErrorFilter,
        st.sampled_from(Edge),
        st.sampled_from(Severity),
        st.frozensets(st.sampled_from(["EPIPE", "EPERM", "EAI_FAIL"])),
        st.just(BUILT_IN),
    ),
    max_size=4,
)


def filters(*lines: str) -> ErrorFilters:
    """Those of these lines."""
    return ErrorFilters(compiled(HEAD + "\n".join(lines) + "\n" + OPEN))


class SymbolTests(SynchronousTestCase):
    """What each symbol finds."""

    def test_groups(self) -> None:
        """The groups are Dante's, ``dns-any`` with the two that glibc hides from it."""
        self.assertEqual(symbols("no-route"), NO_ROUTE)
        self.assertEqual(symbols("dns-any"), DNS_ANY | {"EAI_NODATA", "EAI_ADDRFAMILY"})

    def test_dantes_symbols(self) -> None:
        """Every symbol that Dante knows is known, finds itself, and belongs to its group."""
        for name in SYSTEM_ANY:
            found = symbol_of(getattr(errno, name))
            self.assertEqual(symbols(name), {found})
            self.assertEqual(symbols(name.lower()), {found})
            self.assertIn(found, symbols("system-any"))
        for name in DNS_ANY:
            self.assertEqual(symbols(name), {name})
            self.assertEqual(eai_symbol_of(getattr(socket, name)), name)

    def test_everything(self) -> None:
        """No error number of this system is missing from ``system-any`` or ``dns-any``."""
        self.assertEqual(symbols("system-any"), {symbol_of(n) for n in errno.errorcode})
        for name in dir(socket):
            if name.startswith("EAI_") and name != "EAI_MAX":
                self.assertEqual(eai_symbol_of(getattr(socket, name)), name)


class ErrorFiltersTests(SynchronousTestCase):
    """At which level a failure is told."""

    def test_nobody(self) -> None:
        """What no line names is for ``debug``."""
        none = filters()
        for edge in Edge:
            self.assertIs(none.severity(edge, "EPIPE"), Severity.DEBUG)

    def test_sides(self) -> None:
        """The two sides have nothing to do with each other."""
        found = filters("internal.log.err.error: EPIPE", "external.log.info.error: EPIPE")
        self.assertIs(found.severity(Edge.INTERNAL, "EPIPE"), Severity.ERROR)
        self.assertIs(found.severity(Edge.EXTERNAL, "EPIPE"), Severity.INFO)

    def test_several(self) -> None:
        """Lines add up; of several levels the most severe counts, in whatever order they stand."""
        found = filters(
            "external.log.warning.error: EPIPE ECONNRESET",
            "external.log.crit.error: ECONNRESET",
            "external.log.notice.error: system-any dns-any",
            "external.log.warning.error: EAI_FAIL",
        )
        for symbol, severity in (
            ("EPIPE", Severity.WARNING),
            ("ECONNRESET", Severity.CRITICAL),
            ("ENOENT", Severity.NOTICE),
            ("EAI_FAIL", Severity.WARNING),
            ("EAI_NODATA", Severity.NOTICE),
        ):
            self.assertIs(found.severity(Edge.EXTERNAL, symbol), severity)

    @given(entries, entries, entries)
    def test_most_severe(
        self, first: list[ErrorFilter], second: list[ErrorFilter], third: list[ErrorFilter]
    ) -> None:
        """It is always the most severe of all lines that name it, globally and in the rules."""
        found = ErrorFilters(replace(POLICY, logging=LoggingPolicy(error_filters=tuple(first))))
        rules: list[Rule] = [
            replace(rule(), error_filters=tuple(lines)) for lines in (second, third)
        ]
        for edge in Edge:
            for symbol in ("EPIPE", "EAI_FAIL"):
                named = sorted(
                    entry.severity
                    for entry in (*first, *second, *third)
                    if entry.edge is edge and symbol in entry.symbols
                )
                expected = named[0] if named else Severity.DEBUG
                self.assertIs(found.severity(edge, symbol, rules), expected)
