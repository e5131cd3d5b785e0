"""
Sphinx's settings: web pages of these documents and of the docstrings.

    sphinx-build -W -b html docs docs/_build

The documents can also be read as they are, on the web view of a repository.  So they link to each
other by file name, and contain neither roles nor directives of Sphinx; both are added here while
the pages are read.
"""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import dantetw  # noqa: E402

project = "dantetw"
author = "the dantetw authors"
project_copyright = author
version = release = dantetw.__version__
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "A SOCKS server on Twisted", "fixed_sidebar": True}
pygments_style = "sphinx"
# Literal blocks are configurations, logs and commands: nothing to colour.
highlight_language = "none"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.apidoc"]
apidoc_modules = [{"path": "../dantetw", "destination": "api", "separate_modules": True}]
# What a package passes on is documented where it is defined.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
# Some names in annotations are those of several classes: only where the link leads is in doubt.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
#: A link to a file, and a reference that begins at the package of the module in which it stands.
_LINK = re.compile(r"`([^`<]+?)\s*<(?!https?:)([^>`]+)>`_")
_RELATIVE = re.compile(r":(\w+):`\.([\w.]+)`")


def _role(page: Path, found: re.Match[str]) -> str:
    """A link to a file as the role that Sphinx has for it, which fails if the file is not there."""
    text, name = found[1], found[2]
    target = (page.parent / name).resolve()
    if target.suffix == ".rst" and target.is_relative_to(DOCS):
        return f":doc:`{text} <{name.removesuffix('.rst')}>`"
    return f":download:`{text} <{name}>`"


def _read(app: Any, name: str, source: list[str]) -> None:
    """Make links of Sphinx's from those to files, and give the index its table of contents."""
    if name.startswith("api/"):
        return
    page = DOCS / f"{name}.rst"
    source[0] = _LINK.sub(lambda found: _role(page, found), source[0])
    if name.rpartition("/")[2] == "index":
        links = re.findall(r"<(?!\.\./)([\w/-]+)\.rst>`_", page.read_text(encoding="utf-8"))
        pages = [*dict.fromkeys(links), *(["api/modules"] if name == "index" else [])]
        source[0] += "\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {one}\n" for one in pages)


def _resolve(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let relative references in docstrings begin at the package, as relative imports do."""
    module = obj if what == "module" else sys.modules.get(getattr(obj, "__module__", None) or "")
    package = getattr(module, "__package__", None)
    if package:

        def absolute(found: re.Match[str]) -> str:
            full = f"{package}.{found[2]}"
            if find(full) is None:
                return found[0]
            return f":{found[1]}:`~{full}`"

        lines[:] = [_RELATIVE.sub(absolute, line) for line in lines]


def find(name: str) -> ModuleType | None:
    """The module of this name, if there is one."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _resolve)
    return {"parallel_read_safe": True}
