"""The documentation of the configuration says what the tables in the code say."""

from __future__ import annotations

import pathlib

from twisted.trial.unittest import SynchronousTestCase

import dantetw
from dantetw.config import UNSUPPORTED
from dantetw.config.keywords import KEYWORDS
from dantetw.config.tree import Place

DOCS = pathlib.Path(dantetw.__file__).parent.parent / "docs"

_PLACES = {
    "global": Place.GLOBAL,
    "client": Place.CLIENT,
    "socks": Place.SOCKS,
    "route": Place.ROUTE,
    "monitor": Place.MONITOR,
    "hostid": Place.HOSTID,
}
_BUILT = {Place.GLOBAL, Place.CLIENT, Place.SOCKS}


def rows(title: str) -> list[list[str]]:
    """The cells of a list-table, without its header."""
    text = (DOCS / "configuration.rst").read_text(encoding="utf-8")
    table = text.split(f".. list-table:: {title}\n")[1].split("\n\n")[1]
    return [
        [cell.strip().strip("`") for cell in row.split("\n     -")]
        for row in f"\n{table}".split("\n   * - ")[2:]
    ]


class DocumentationTests(SynchronousTestCase):
    """docs/configuration.rst."""

    def test_keywords(self) -> None:
        """Every keyword is there, with its places, value, default, meaning and repetition."""
        documented = {row[0]: row for row in rows("Keywords")}
        self.assertEqual(set(documented), {keyword.name for keyword in KEYWORDS})
        for keyword in KEYWORDS:
            name, places, form, default, meaning, repeat, _ = documented[keyword.name]
            self.assertEqual({_PLACES[place] for place in places.split(", ")}, keyword.places, name)
            self.assertEqual(form.replace("\\|", "|"), keyword.argument.form)
            self.assertEqual(default, keyword.default)
            self.assertEqual(meaning, keyword.meaning)
            self.assertEqual(repeat, keyword.repeat.value)

    def test_status(self) -> None:
        """What is not supported says so, and nothing else does."""
        documented = {row[0]: row[-1] for row in rows("Keywords")}
        alias = {"pamservicename": "pam.servicename"}
        for keyword in KEYWORDS:
            name = alias.get(keyword.name, keyword.name)
            unbuilt = name in UNSUPPORTED or not keyword.places & _BUILT
            self.assertEqual(documented[keyword.name] == "not supported yet", unbuilt, name)

    def test_unsupported(self) -> None:
        """The list of what is not supported is the code's."""
        self.assertEqual(dict(rows("Not supported yet")), dict(UNSUPPORTED))
