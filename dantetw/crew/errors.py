"""
Why a policy cannot be put in force.
"""


class UnusableError(Exception):
    """A configuration is valid but cannot be used here and now; the text says why."""
