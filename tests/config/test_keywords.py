"""Tests of the table of keywords: :mod:`dantetw.config.keywords.table`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import keywords
from dantetw.config.compiler import RuleDraft, SettingsDraft
from dantetw.config.draft import Context, PartDraft
from dantetw.config.grammar import parse_tree
from dantetw.config.keyword import Place, no_effect
from dantetw.config.keywords.table import CONCERN_OF, CONCERNS, KEYWORDS
from dantetw.config.lexer import Source
from dantetw.config.lookup import find, names_for
from dantetw.config.machine import Snapshot
from dantetw.config.report import Report
from tests.config.fakes import HEAD, RULES, SYSTEM


class TableTests(SynchronousTestCase):
    """The table as a whole."""

    def setUp(self) -> None:
        """Begin drafts as a file's reading does."""
        source = Source.of((HEAD + RULES).encode(), "sockd.conf")
        report = Report(source)
        context = Context(Snapshot(SYSTEM), PROGRAM, report)
        block = parse_tree(source, report, PROGRAM).blocks[0]
        self.settings = SettingsDraft(context)
        self.rule = RuleDraft(context, block, self.settings)

    def test_once(self) -> None:
        """Each keyword has one row."""
        counts = Counter(keyword.name for keyword in KEYWORDS)
        self.assertEqual([name for name, count in counts.items() if count > 1], [])

    def test_listed(self) -> None:
        """Each file of keywords is in the table."""
        folder = Path(keywords.__file__).parent
        files = {path.stem for path in folder.glob("*.py")} - {"__init__", "table"}
        self.assertEqual(set(CONCERNS), files)

    def test_effects(self) -> None:
        """An effect belongs to the draft that its concern has where the keyword is used."""
        for keyword in KEYWORDS:
            for draft, effect in ((self.settings, keyword.setting), (self.rule, keyword.in_block)):
                if effect is no_effect:
                    continue
                own = getattr(draft, CONCERN_OF[keyword.name])
                if isinstance(own, PartDraft):
                    continue  # its effects are made by ``number``
                name = getattr(effect, "__name__", "")
                self.assertIs(getattr(type(own), name, None), effect, keyword.name)

    def test_places(self) -> None:
        """A keyword has an effect only where it may be used."""
        for keyword in KEYWORDS:
            if Place.GLOBAL not in keyword.places:
                self.assertIs(keyword.setting, no_effect, keyword.name)

    def test_examples(self) -> None:
        """Names that are suggested are keywords, or have a LEVEL that makes them one."""
        for place in Place:
            for name in names_for(place, PROGRAM):
                row = find(name.replace("LEVEL", "err"))
                assert row is not None, name
                self.assertIn(place, row[0].places)
