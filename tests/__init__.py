"""
Tests of :mod:`dantetw`; the packages mirror it.

Properties are checked with the same examples each time, and without a limit in time: a machine
that is busy is no fault of the code.
"""

from hypothesis import settings

settings.register_profile("dantetw", deadline=None, derandomize=True, database=None)
settings.load_profile("dantetw")
