"""The `ablate` command. Nothing heavy is imported here: each command imports what it needs when it runs."""

from benchmarks.cli.app import app, main

__all__ = ["app", "main"]
