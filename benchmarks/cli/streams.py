"""Streams that a command prints to: it goes on in silence where nobody reads any more, or where a disk is full.

A training must not end with `| head`, nor with the disk that its log is on.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from benchmarks.cli.arguments import WRONG_CALL


class PatientStream:
    """A text stream that drops what cannot be written, and keeps the first reason."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.refusal: OSError | None = None
        """Why something was dropped; None where nothing was, or a reader had enough."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it; its length."""
        self._patiently(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what is held back."""
        self._patiently(self._stream.flush)

    def refused(self) -> OSError | None:
        """Why something was dropped, after what is held back was handed on; None as of `refusal`."""
        self.flush()
        return self.refusal

    def _patiently(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.refusal = self.refusal or error
            # What the stream still holds back, and all that follows, goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def patient_streams() -> Iterator[None]:
    """Have all that is printed inside go through patient streams; what they cannot show is shown as its escape.

    Raises:
        SystemExit: at the end, with a line and exit code 2, where standard output could not be written. A reader that
            had enough is no error.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_patient, before)
    output = sys.stdout
    try:
        yield
    finally:
        refusal = output.refused() if isinstance(output, PatientStream) else None
        sys.stdout, sys.stderr = before
        if refusal:
            print(f"error: standard output: {refusal.strerror}", file=sys.stderr)
            sys.exit(WRONG_CALL)


def _patient(stream: TextIO) -> Any:
    if not isinstance(stream, io.TextIOWrapper):  # closed, or somebody else's
        return stream
    stream.reconfigure(errors="backslashreplace")
    return PatientStream(stream)
