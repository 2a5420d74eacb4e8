"""What the command `ablate` starts with: Ctrl-C ends it with a line and no traceback from here on."""

from __future__ import annotations

from benchmarks.execution.interrupts import end_at_once


def main() -> None:
    """Import the command line, and run it."""
    end_at_once()
    from benchmarks.cli import main as run

    run()


if __name__ == "__main__":
    main()
