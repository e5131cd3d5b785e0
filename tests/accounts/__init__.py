"""Tests of :mod:`dantetw.accounts`."""
