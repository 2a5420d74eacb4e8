"""Execution: which runs go together, and the loop that trains them."""
