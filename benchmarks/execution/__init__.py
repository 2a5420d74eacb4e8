"""Execution: workers, here or on a cluster, and the dispatcher that gives them stacks of runs."""
