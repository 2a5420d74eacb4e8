"""Searches: the settings of a suite that are tuned before its runs are trained, and what came out of that."""
