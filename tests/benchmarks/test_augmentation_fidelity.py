"""The table of fidelity has every augmentation, and each agrees with its reference."""

from __future__ import annotations

from benchmarks.augmentation.rand_augment import OPERATIONS
from benchmarks.settings.augmentation import AUGMENTATIONS
from tools.fidelity import augmentations


def test_augmentations_do_as_their_sources_say():
    """To rounding in single precision; normal noise as close as so many draws come."""
    differences = {row.name: row.difference for row in augmentations.rows()}
    noise = differences.pop("gaussian_noise")
    assert noise < 2e-3
    assert {name.partition(",")[0] for name in differences} == {*AUGMENTATIONS} - {"gaussian_noise"}
    assert [name for name in differences if name.startswith("rand")] == [f"rand_augment, {name}" for name in OPERATIONS]
    assert {name: value for name, value in differences.items() if value > 1e-5} == {}
