"""What the command `ablate` starts and ends with: Ctrl-C ends it with a line and no traceback from here on."""

from __future__ import annotations

from benchmarks.execution.interrupts import end_at_once


def main() -> None:
    """Import the command line, and run it."""
    end_at_once()
    from benchmarks.cli import main as run

    try:
        run()
    finally:
        end_at_once()  # what is left is Python's own end


if __name__ == "__main__":
    main()
