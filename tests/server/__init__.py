"""Tests of :mod:`dantetw.server`."""
