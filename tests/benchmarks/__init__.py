"""Tests for the pure parts of :mod:`benchmarks`: nothing here measures."""
