"""The documentation of the configuration says what the tables in the code say."""

from __future__ import annotations

import pathlib
import re
import textwrap
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

import dantetw
from dantetw.catalogue import PROGRAM, SINKS
from dantetw.config import UNSUPPORTED, parse
from dantetw.config.keyword import Place
from dantetw.config.keywords.table import KEYWORDS
from tests.session.world import Machine

ROOT = pathlib.Path(dantetw.__file__).parent.parent
DOCS = ROOT / "docs"

_PLACES = {
    "global": Place.GLOBAL,
    "client": Place.CLIENT,
    "socks": Place.SOCKS,
    "route": Place.ROUTE,
    "monitor": Place.MONITOR,
    "hostid": Place.HOSTID,
}
_BUILT = {Place.GLOBAL, Place.CLIENT, Place.SOCKS}


def rows(name: str, title: str) -> list[list[str]]:
    """The cells of all list-tables of a page whose titles begin so, without their headers."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return [
        [cell.strip().strip("`") for cell in row.split("\n     -")]
        for table in re.split(rf"^\.\. list-table:: {title}.*\n", text, flags=re.MULTILINE)[1:]
        for row in f"\n{table.split(chr(10) * 2)[1]}".split("\n   * - ")[2:]
    ]


def examples(name: str) -> list[str]:
    """The complete configurations that a page shows as literal blocks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in blocks if "    client pass {" in block]


class Gateway(Machine):
    """A machine between two networks."""

    interfaces: ClassVar[dict[str, list[str]]] = {
        "lo": ["127.0.0.1", "::1"],
        "eth0": ["203.0.113.7"],
        "eth1": ["10.20.0.1"],
    }

    def resolve(self, name: str) -> list[str]:
        """Every name has an address."""
        return ["198.51.100.25"]


class ExampleTests(SynchronousTestCase):
    """Complete configurations in the documents."""

    def test_complete(self) -> None:
        """Each can be used as it is, without an error or a warning."""
        found = examples("docs/configuration.rst")
        self.assertEqual(len(found), 3)
        for text in found:
            self.assertEqual(self.problems(text), [], text)

    def test_logged(self) -> None:
        """Each of the three ends with a rule that blocks and logs the rest."""
        for text in examples("docs/configuration.rst"):
            last = text.strip().splitlines()[-1]
            self.assertEqual(last, "socks block { from: 0/0 to: 0/0 log: connect }")

    def test_readme(self) -> None:
        """The README's has users log in."""
        (text,) = examples("README.rst")
        self.assertEqual(self.problems(text), [])
        self.assertIn("socksmethod: username\n", text)

    def problems(self, text: str) -> list[str]:
        """What the server says of a configuration, on a machine that has its interfaces."""
        parsed = parse(text.encode(), "sockd.conf", Gateway(), PROGRAM)
        return [problem.render() for problem in parsed.problems]


class DocumentationTests(SynchronousTestCase):
    """The tables about keywords."""

    def test_keywords(self) -> None:
        """Every keyword is there, with its places, value, default, meaning and repetition."""
        documented = {row[0]: row for row in rows("keywords.rst", "Keywords")}
        self.assertEqual(set(documented), {keyword.name for keyword in KEYWORDS})
        for keyword in KEYWORDS:
            name, places, form, default, meaning, repeat, _ = documented[keyword.name]
            self.assertEqual({_PLACES[place] for place in places.split(", ")}, keyword.places, name)
            self.assertEqual(form.replace("\\|", "|"), keyword.argument.form)
            self.assertEqual(default, keyword.default)
            self.assertEqual(meaning, keyword.meaning)
            self.assertEqual(repeat, keyword.repeat.value)

    def test_destinations(self) -> None:
        """How each kind of destination is written is there."""
        text = (DOCS / "keywords.rst").read_text(encoding="utf-8")
        sentence = text.partition("A DESTINATION is ")[2].partition(";")[0]
        self.assertEqual(re.findall("``(.+?)``", sentence), [kind.form for kind in SINKS])

    def test_status(self) -> None:
        """What is not supported says so, and nothing else does."""
        documented = {row[0]: row[-1] for row in rows("keywords.rst", "Keywords")}
        alias = {"pamservicename": "pam.servicename"}
        for keyword in KEYWORDS:
            name = alias.get(keyword.name, keyword.name)
            unbuilt = name in UNSUPPORTED or not keyword.places & _BUILT
            self.assertEqual(documented[keyword.name] == "not supported yet", unbuilt, name)

    def test_unsupported(self) -> None:
        """The list of what is not supported is the code's."""
        self.assertEqual(dict(rows("unsupported.rst", "Not supported yet")), dict(UNSUPPORTED))
