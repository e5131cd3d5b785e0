"""Tests of :mod:`dantetw.handover`."""
