"""Training: settings, seeds, the compiled program and its results."""

REVISION = 2
"""Raised whenever the same settings come to give other results, so that results of the old meaning are not reused."""
