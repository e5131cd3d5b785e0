"""
The seeds of a target, and the loop that mutates them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

#: Takes any bytes; raises if they break what must hold.
Target = Callable[[bytes], None]

SEEDS = Path(__file__).parent / "seeds"


def seeds(name: str) -> Iterator[tuple[str, bytes]]:
    """
    The seeds of a target, by their file's name.

    :param name: of its folder.
    """
    for path in sorted((SEEDS / name).iterdir()):
        yield path.name, path.read_bytes()


def run(name: str, target: Target) -> None:
    """
    Fuzz until a find, or as long as libFuzzer's options say, which the command line has.

    New inputs that reach new code go to a temporary folder, not among the seeds.

    :raises SystemExit: if Atheris is missing.
    """
    try:
        import atheris
    except ImportError:
        raise SystemExit("fuzzing takes Atheris: pip install -e '.[fuzz]'") from None
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as found:
        atheris.Setup([*sys.argv, found, str(SEEDS / name)], target)
        atheris.Fuzz()
