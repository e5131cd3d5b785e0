"""Tests of :mod:`dantetw.crew`."""
