"""
For each row of ``docs/differences.rst`` about the configuration, a file that shows it.

``tests/test_documentation.py`` has our parser read these files, and
``tests/scenarios/test_differences.py`` has ``danted`` read them, so that no row goes stale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

HEAD: Final = """\
logoutput: stderr
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: none username
user.unprivileged: nobody
"""
CLIENTS: Final = "client pass { from: 127.0.0.0/8 to: 0/0 }\n"
REQUESTS: Final = "socks pass { from: 127.0.0.0/8 to: 0/0 }\n"
RULES: Final = CLIENTS + REQUESTS

FINE, WARNING, ERROR = "fine", "warning", "error"


@dataclass(frozen=True, slots=True)
class Sample:
    """
    A file that shows a difference.

    :ivar data: its bytes.
    :ivar ours: what we make of it: :data:`FINE`, :data:`WARNING` or :data:`ERROR`.
    :ivar danted: the same of Dante 1.4.2, whose warnings do not count; None: it is not asked, since
        it would not come to an end, or its answer does not show in its exit status.
    """

    data: bytes
    ours: str = FINE
    danted: str | None = FINE


def with_settings(lines: str, ours: str = FINE, danted: str | None = FINE) -> Sample:
    """A file with these global settings."""
    return Sample((HEAD + lines + "\n" + RULES).encode(), ours, danted)


def with_rules(rules: str, ours: str = FINE, danted: str | None = FINE) -> Sample:
    """A file with these socks rules."""
    return Sample((HEAD + CLIENTS + rules + "\n").encode(), ours, danted)


def blocking(conditions: str, ours: str = FINE, danted: str | None = FINE) -> Sample:
    """A file with a rule that blocks under these conditions."""
    return with_rules(f"socks block {{ {conditions} }}\n{REQUESTS}", ours, danted)


_PLAIN: Final = (HEAD + RULES).encode()

#: By the row's first cell.
SAMPLES: Final = {
    "Line ends of Windows (CR LF)": Sample(_PLAIN.replace(b"\n", b"\r\n"), FINE, ERROR),
    "UTF-8 byte-order mark": Sample(b"\xef\xbb\xbf" + _PLAIN, FINE, None),
    "Non-ASCII text outside comments": blocking(
        "from: 10.0.0.0/8 to: 0/0\nsocksmethod: username\nuser: b\u00e4h\n"
    ),
    "NUL bytes, more than 1 MiB": Sample(_PLAIN + b"\0", ERROR, FINE),
    "``logoutput: stderr #comment``": with_settings("errorlog: stderr #comment"),
    "``from: lo#comment``": Sample(
        (HEAD + CLIENTS + "socks block { from: lo#comment\nto: 0/0 }\n" + REQUESTS).encode()
    ),
    "``10.0.0.0/255.0.0.0``": blocking("from: 10.0.0.0/255.0.0.0 to: 0/0", FINE, ERROR),
    "``from:0.0.0.0/0`` without a blank": blocking("from:10.0.0.0/8 to: 0/0", FINE, ERROR),
    "``0 / 0`` with blanks": blocking("from: 10.0.0.0/8 to: 0 / 0", FINE, ERROR),
    "``client<TAB>pass``": Sample(
        (HEAD + RULES.replace("client ", "client\t")).encode(), FINE, ERROR
    ),
    "``user: bob }``, ``to: lo}``, ``log: error}``": with_rules(
        "socks block { from: 10.0.0.0/8 to: lo}\n" + REQUESTS, WARNING, ERROR
    ),
    "``{`` in a host name (``{{ address }}``)": with_settings(
        "external: {{ address }}", ERROR, ERROR
    ),
    "``log: connecterror``": blocking("from: 10.0.0.0/8 to: 0/0 log: connecterror", ERROR),
    "Number of errors reported": with_settings("nonsense: 1\nmore: 2", ERROR, ERROR),
    "``external.log.err.error: EAI_NODATA``, ``EAI_ADDRFAMILY``": with_settings(
        "external.log.err.error: EAI_NODATA EAI_ADDRFAMILY"
    ),
    "``tcp_nodelay: yes``, a symbol for an option that has none": with_settings(
        "external.tcp.tcp_nodelay: yes", ERROR, None
    ),
    "Values of socket options": with_settings("external.tcp.tcp_nodelay: 4294967296", ERROR),
    "Timeouts above 2147483647 seconds": with_settings("timeout.connect: 2147483648", ERROR),
    "A route to an interface": with_rules(
        REQUESTS + "route { from: 0/0 to: 0/0 via: lo }", ERROR, None
    ),
    "``port: 80`` in a rule": blocking("from: 0/0 to: 192.0.2.0/24 port: 80", WARNING),
    "``..example.org``": blocking("from: 0/0 to: ..example.org"),
    "``external.log.err.error: ECONREFUSED``": with_settings(
        "external.log.err.error: ECONREFUSED", WARNING
    ),
    "``log.unmatched``": with_settings("log.unmatched: connect", FINE, ERROR),
    "``pac.sid``, ``pac.sid.b64``, ``pac.off`` (Dante 1.4.3)": blocking(
        "from: 10.0.0.0/8 to: 0/0\npac.sid: S-1-5-21-1\n", ERROR, ERROR
    ),
    "``username.file``": with_settings("username.file: /etc/sockd.users", FINE, ERROR),
    "Additional warnings": blocking("from: 0/0 to: any", WARNING),
    "An interface or address that is not there yet": with_settings(
        "internal: wg-missing port = 1080", WARNING, ERROR
    ),
    "``interface.missing``": with_settings("interface.missing: fail", FINE, ERROR),
    "An unknown word without dots in ``from`` or ``to``": blocking(
        "from: wg-missing to: 0/0", WARNING
    ),
    "More than one ``external`` without ``external.rotation``": with_settings(
        "external: 127.0.0.2", WARNING
    ),
    "``internal: 127.0.0.1 port ge 1080``, a range": with_settings(
        "internal: 127.0.0.1 port ge 1081", WARNING
    ),
}


def rows(title: str) -> list[list[str]]:
    """The cells of a table of ``docs/differences.rst``, by the title above it."""
    text = (ROOT / "docs/differences.rst").read_text(encoding="utf-8")
    section = re.search(rf"^{title}\n-+\n(.*?)(?=^[A-Z].*\n-+\n|\Z)", text, re.M | re.S)
    assert section, title
    return [
        [re.sub(r"\s+", " ", cell).strip() for cell in row.split("\n     -")]
        for row in section[1].split("\n   * - ")[2:]
    ]
