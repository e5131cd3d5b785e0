"""
Arguments of the commands ``sockd check``, ``explain``, ``health`` and ``users``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import TextIO


def read_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str], stdout: TextIO, stderr: TextIO
) -> argparse.Namespace | int:
    """
    Parse a command's arguments without ending the process, as :mod:`argparse` would.

    :param stdout: for the help, if requested; ``stderr``: for errors.
    :returns: the options; or the exit status if there is nothing left to do: 0 after the help, 2
        if the arguments make no sense.
    """
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            return parser.parse_args(argv)
        except SystemExit as leaving:
            return leaving.code if isinstance(leaving.code, int) else 2
