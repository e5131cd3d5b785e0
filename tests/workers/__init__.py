"""Tests of :mod:`dantetw.workers`."""
