"""
Sphinx's settings: web pages of these documents and of the docstrings.

    sphinx-build -W -b html docs docs/_build

The documents can also be read as they are, on the web view of a repository.  So they link to each
other by file name, and contain neither roles nor directives of Sphinx; both are added here while
the pages are read.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from zope.interface.interface import InterfaceClass, Method

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
# A reference to something of ours must lead somewhere; other projects' documents are not here, and
# what is private has none, nor have type variables (py:obj).
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!dantetw\.).*"),
    (r"py:.*", r".*\._\w+"),
    (r"py:obj", r".*"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
#: A link to a file, and a reference that begins at the package of the module in which it stands.
_LINK = re.compile(r"`([^`<]+?)\s*<(?!https?:)([^>`]+)>`_")
_RELATIVE = re.compile(r":(\w+):`\.([\w.]+)`")
#: A reference to something that a package may pass on.
_FULL = re.compile(r":(class|exc|func|meth|attr):`(~?)(dantetw[\w.]*)\.([A-Z]\w+)")


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
        if module := _module(name.removeprefix("api/")):
            source[0] += _interfaces(module)
        return
    page = DOCS / f"{name}.rst"
    source[0] = _LINK.sub(lambda found: _role(page, found), source[0])
    if name.rpartition("/")[2] == "index":
        links = re.findall(r"<(?!\.\./)([\w/-]+)\.rst>`_", page.read_text(encoding="utf-8"))
        pages = [*dict.fromkeys(links), *(["api/modules"] if name == "index" else [])]
        source[0] += "\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {one}\n" for one in pages)


def _interfaces(module: ModuleType) -> str:
    """The interfaces of zope's that a module defines: autodoc takes them for plain objects."""
    lines = ["", "", f".. py:currentmodule:: {module.__name__}"]
    for name, found in vars(module).items():
        if isinstance(found, InterfaceClass) and found.__module__ == module.__name__:
            lines += ["", f".. py:class:: {name}", "", *_docstring(found, module, "   ")]
            for part, described in found.namesAndDescriptions():
                call = isinstance(described, Method)
                head = f"method:: {part}{described.getSignatureString()}" if call else None
                lines += [f"   .. py:{head or f'attribute:: {part}'}", ""]
                lines += _docstring(described, module, "      ")
    return "\n".join(lines)


def _docstring(described: Any, module: ModuleType, indent: str) -> list[str]:
    """Its lines, indented, and an empty one."""
    lines = inspect.cleandoc(described.__doc__ or "").splitlines()
    return [*(f"{indent}{line}" for line in _absolute(lines, module)), ""]


def _absolute(lines: list[str], module: ModuleType) -> list[str]:
    """Let relative references begin at the package, as relative imports do."""

    def absolute(found: re.Match[str]) -> str:
        full = f"{module.__package__}.{found[2]}"
        return f":{found[1]}:`~{full}`" if _module(full) else found[0]

    return [_FULL.sub(_defined, _RELATIVE.sub(absolute, line)) for line in lines]


def _defined(found: re.Match[str]) -> str:
    """The same reference, to where the class is defined."""
    role, short, package, name = found.groups()
    at = getattr(getattr(_module(package), name, None), "__module__", package)
    return f":{role}:`{short}{at}.{name}"


def _resolve(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Resolve relative references in docstrings."""
    module = obj if what == "module" else sys.modules.get(getattr(obj, "__module__", None) or "")
    if module is not None:
        lines[:] = _absolute(lines, module)


def _module(name: str) -> ModuleType | None:
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
