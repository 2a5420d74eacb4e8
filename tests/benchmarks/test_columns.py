"""What columns of levels are called beside other columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.labels import column_of, with_levels

OTHERS = ["dataset", "seed", "status", "first loss"]
FACTORS = [*OTHERS, "level:", "level:seed", "level:level:seed", "model.width", ""]


@given(others=st.lists(st.sampled_from(OTHERS), unique=True), factors=st.lists(st.sampled_from(FACTORS), unique=True))
def test_nothing_is_overwritten(others, factors):
    """Whatever factors are called, a row has all that it had, and each level in a column of its own."""
    row = {"dataset": "the dataset"} | {name: f"the {name}" for name in others}
    levels = {factor: f"level of {factor}" for factor in factors}
    found = with_levels(row, levels)
    assert {name: found[name] for name in row} == row
    assert [value for name, value in found.items() if name not in row] == list(levels.values())
    assert list(found)[: 1 + len(levels)] == ["dataset", *(column_of(factor, row) for factor in factors)]


def test_a_name_that_is_free_stays():
    """A factor is called as it is where no other column has its name."""
    assert with_levels({"dataset": "digits", "seed": 1}, {"model.width": "64", "seed": "wide"}) == {
        "dataset": "digits",
        "model.width": "64",
        "level:seed": "wide",
        "seed": 1,
    }
