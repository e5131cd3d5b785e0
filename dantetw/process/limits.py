"""
How many descriptors we may have: each session takes two.
"""

from __future__ import annotations

import resource


def raise_descriptors() -> int:
    """
    Raise the limit of open files to the highest that is allowed (``getrlimit(2)``).

    :returns: the limit that holds now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft  # some systems name a hard limit that they do not grant
    return hard
