"""
Errors that keep a policy from being put in force.
"""


class UnusableError(Exception):
    """A valid configuration that cannot be used here and now; the text says why."""
