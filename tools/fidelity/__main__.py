"""Print the table of fidelity: `python -m tools.fidelity`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tensorflow_start import import_tensorflow
from tools.fidelity.table import Row


def rows() -> Iterator[Row]:
    """Every row of the table."""
    import_tensorflow()
    from tools.fidelity import augmentations, initializers, nets, optimizers, schedules

    for module in (nets, initializers, optimizers, schedules, augmentations):
        yield from module.rows()


def main() -> None:
    """Print each thing that is computed here, its reference, and the largest difference between them."""
    print("| What | Reference | Largest difference |\n| --- | --- | ---: |")
    for row in rows():
        print(f"| {row.kind} `{row.name}` | {row.reference} | {row.difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
