"""Tests that the source keeps to the order its docstrings promise."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import dantetw

PACKAGE = Path(dantetw.__file__).parent
ROOT = PACKAGE.parent

#: Most lines of a file: what a reader takes in at one sitting.
LONGEST = 450

#: Public classes that have a namesake in another module, which is not renamed yet.
NAMESAKES = {"Outcome"}

VALUES, PURE, EDGES, STORY, WIRING = range(5)

#: The layer of a module is that of the longest of these names it begins with.
LAYERS = {
    "dantetw": VALUES,
    "dantetw.values": VALUES,
    "dantetw.policy": VALUES,
    "dantetw.addresses": VALUES,
    "dantetw.figures": VALUES,
    "dantetw.escaping": PURE,
    "dantetw.wire": PURE,
    "dantetw.config": PURE,
    "dantetw.rules": PURE,
    "dantetw.plan": PURE,
    "dantetw.observe.events": PURE,
    "dantetw.observe.facts": PURE,
    "dantetw.observe.status": PURE,
    "dantetw.observe.filters": PURE,
    "dantetw.observe.formats": PURE,
    # What a format is: an interface and nothing else.
    "dantetw.observe.interfaces": PURE,
    "dantetw.observe": EDGES,
    "dantetw.net": EDGES,
    # Names of errors, which formats speak of too.
    "dantetw.net.errors": PURE,
    # Which address to try next: the clock is an argument.
    "dantetw.net.race": PURE,
    # Which address to go out from: the clock and the kernel are arguments.
    "dantetw.net.sources": PURE,
    "dantetw.auth": EDGES,
    "dantetw.relay": EDGES,
    "dantetw.upstream": EDGES,
    "dantetw.process": EDGES,
    "dantetw.privileged": EDGES,
    "dantetw.threads": EDGES,
    # Decides, and is given the clock.
    "dantetw.fairness": PURE,
    "dantetw.sharing": EDGES,
    "dantetw.accounts": EDGES,
    "dantetw.accounts.keys": PURE,
    "dantetw.accounts.counts": PURE,
    "dantetw.session": STORY,
    "dantetw.catalogue": WIRING,
    "dantetw.crew": WIRING,
    "dantetw.handover": WIRING,
    "dantetw.server": WIRING,
    "dantetw.tap": WIRING,
    "dantetw.cli": WIRING,
}

#: Packages that must not import another, although its layer would allow it.
FORBIDDEN_IMPORTS = {
    "dantetw.auth": ("dantetw.privileged", "dantetw.config"),
    "dantetw.net": ("dantetw.rules", "dantetw.wire"),
    "dantetw.observe": ("dantetw.config",),
    "dantetw.relay": ("dantetw.observe", "dantetw.config"),
    "dantetw.rules": ("dantetw.config",),
    "dantetw.session": ("dantetw.config",),
}

#: What pure modules may use of modules that can wait, look at a clock or touch the kernel.
ALLOWED = {
    "socket": re.compile(r"[A-Z][A-Z0-9_]*|inet_(pton|ntop|aton|ntoa)"),  # numbers and notation
    "os": re.compile(r"strerror|fsdecode|fsencode|path"),  # words for numbers
}
FORBIDDEN = re.compile(
    r"(twisted\.(internet|logger|python\.log)|socket|select|ssl|asyncio|time|os|io|subprocess"
    r"|threading|logging|signal|multiprocessing)(\.|$)"
)
#: Pure modules that read a file all the same, and why.
READERS = {"dantetw.config.load": "it is given a file's name, and its callers want no other way"}


def modules(folder: Path = PACKAGE) -> dict[str, Path]:
    """All modules of a package, by name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def tree(path: Path) -> ast.Module:
    """The source of a module, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def walk(node: ast.AST, into_functions: bool = True) -> Iterator[ast.AST]:
    """All nodes below, also those for type checkers only: a circle among types is a circle."""
    for child in ast.iter_child_nodes(node):
        yield child
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if into_functions or not is_function:
            yield from walk(child, into_functions)


def imported(node: ast.AST, into_functions: bool = True) -> Iterator[str]:
    """Dotted names of all that is imported; of ``from a import b`` it is ``a.b``."""
    for child in walk(node, into_functions):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def layer(name: str) -> int:
    """The layer of a module, or of something in it."""
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return LAYERS[name]


def module_of(name: str) -> str:
    """The module of ours in which something dotted is."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def ours(name: str) -> bool:
    """Whether a dotted name is of this package."""
    return name == "dantetw" or name.startswith("dantetw.")


def top_of(name: str) -> str:
    """The module or package of ours right below the top in which something dotted is."""
    return ".".join(module_of(name).split(".")[:2])


PURE_MODULES = [name for name in MODULES if layer(name) <= PURE]


def circles(graph: dict[str, set[str]]) -> set[str]:
    """The nodes of a graph from which some way leads back to them."""

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        ahead = [name]
        while ahead:
            new = graph.get(ahead.pop(), set()) - found
            found |= new
            ahead += new
        return found

    return {name for name in graph if name in reached(name)}


class ImportTests(SynchronousTestCase):
    """Which module imports which."""

    def test_known(self) -> None:
        """Each module and package of the top has its layer, and each layer's name exists."""
        top = {name for name in MODULES if name.count(".") == 1}
        self.assertEqual(top - set(LAYERS), set())
        self.assertEqual(set(LAYERS) - set(MODULES), set())

    def test_one_way(self) -> None:
        """No module imports one of a layer above its own."""
        wrong = [
            f"{name} imports {other}"
            for name, path in MODULES.items()
            for other in imported(tree(path))
            if ours(other) and layer(other) > layer(name)
        ]
        self.assertEqual(wrong, [])

    def test_forbidden(self) -> None:
        """No package imports one that it must not know."""
        wrong = [
            f"{name} imports {other}"
            for name, path in MODULES.items()
            for other in imported(tree(path))
            if ours(other) and top_of(other) in FORBIDDEN_IMPORTS.get(top_of(name), ())
        ]
        self.assertEqual(wrong, [])

    def test_no_circles(self) -> None:
        """No two modules import each other, not even for their types or by a detour."""
        graph = {
            name: {module_of(other) for other in imported(tree(path)) if ours(other)} - {name}
            for name, path in MODULES.items()
        }
        self.assertEqual(circles(graph), set())

    def test_no_circles_of_packages(self) -> None:
        """No two packages import each other, not even by a detour."""
        graph: dict[str, set[str]] = {}
        for name, path in MODULES.items():
            others = {top_of(other) for other in imported(tree(path)) if ours(other)}
            graph.setdefault(top_of(name), set()).update(others - {top_of(name)})
        del graph["dantetw"]
        for others in graph.values():
            others.discard("dantetw")
        self.assertEqual(circles(graph), set())

    def test_pure(self) -> None:
        """Pure modules wait for nothing, and know no clock, socket or log."""
        wrong = []
        for name in PURE_MODULES:
            nodes = tree(MODULES[name])
            wrong += [
                f"{name} imports {other}"
                for other in imported(nodes)
                if FORBIDDEN.match(other)
                and not self.is_allowed(*other.partition(".")[::2])
                and other not in ALLOWED
            ]
            wrong += [
                f"{name} uses {node.value.id}.{node.attr}"
                for node in walk(nodes)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in ALLOWED
                and not self.is_allowed(node.value.id, node.attr)
            ]
        self.assertEqual(wrong, [])

    def is_allowed(self, module: str, name: str) -> bool:
        """Whether pure modules may use this."""
        return module in ALLOWED and ALLOWED[module].fullmatch(name) is not None

    def test_pure_reads_nothing(self) -> None:
        """Pure modules open no files, but for the exceptions named here."""
        readers = {
            name
            for name in PURE_MODULES
            for node in walk(tree(MODULES[name]))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "open"
        }
        self.assertEqual(readers, set(READERS))

    def test_no_reactor(self) -> None:
        """No module imports the reactor at its top, so importing one changes nothing."""
        everything = {**MODULES, **modules(ROOT / "tests")}
        wrong = [
            name
            for name, path in everything.items()
            if "twisted.internet.reactor" in imported(tree(path), False)
        ]
        self.assertEqual(wrong, [])

    def test_plugin(self) -> None:
        """The plugin that twistd reads for each of its commands imports nothing of ours."""
        plugins = list((ROOT / "twisted" / "plugins").glob("*.py"))
        self.assertEqual([plugin.name for plugin in plugins], ["dantetw_sockd.py"])
        (plugin,) = plugins
        self.assertEqual([name for name in imported(tree(plugin)) if ours(name)], [])


class MapTests(SynchronousTestCase):
    """Docstrings that say where things are."""

    def packages(self) -> Iterator[tuple[str, str, set[str]]]:
        """Each package's name, its docstring and what is in it."""
        for name, path in MODULES.items():
            if path.name == "__init__.py":
                inside = {
                    other.rpartition(".")[2]
                    for other in MODULES
                    if other.rpartition(".")[0] == name
                }
                yield name, ast.get_docstring(tree(path)) or "", inside

    def test_complete(self) -> None:
        """Each module and package is named in the docstring of the package it is in."""
        missing = [
            f"{name} does not name {inner}"
            for name, text, inside in self.packages()
            for inner in sorted(inside)
            if re.search(rf"[.`]{inner}[.`]", text) is None
        ]
        self.assertEqual(missing, [])

    def test_true(self) -> None:
        """What a docstring names as a module is one."""
        wrong = []
        for name, text, _ in self.packages():
            for named in re.findall(r":mod:`~?([.\w]+)`", text):
                full = name + named if named.startswith(".") else named
                if ours(full) and full not in MODULES:
                    wrong.append(f"{name} names {named}")
        self.assertEqual(wrong, [])

    def test_documented(self) -> None:
        """Each module says what it is for."""
        silent = [name for name, path in MODULES.items() if ast.get_docstring(tree(path)) is None]
        self.assertEqual(silent, [])

    def test_class_names(self) -> None:
        """A public class's name means one thing in the whole package."""
        places: dict[str, list[str]] = {}
        for name, path in MODULES.items():
            for node in tree(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(name)
        namesakes = {name for name, modules in places.items() if len(modules) > 1}
        self.assertEqual(namesakes - NAMESAKES, set())

    def test_length(self) -> None:
        """No file is longer than a reader takes in at one sitting."""
        long = {}
        for name, path in MODULES.items():
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count > LONGEST:
                long[name] = count
        self.assertEqual(long, {})
