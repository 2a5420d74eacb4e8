"""Suites in which what a search has found takes its place: whatever text they hold."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.search.tuned_suite import _as_toml, _without_search
from benchmarks.suite.search import Tuned

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # TOML has no surrogates
PARTS = """name = "a"
# one line\u2028of a comment, and\x85another
question = "one line\u2028of a text"
"""
SEARCH = """[search] # a header
trials = 3
[search.space]
"train.learning_rate" = [0.1]
"""
MODEL = """["model"]
variant = "mlp_small"
"""


@given(where=st.dictionaries(TEXTS, TEXTS, max_size=3), value=TEXTS | st.floats(-1e9, 1e9) | st.booleans())
def test_any_text_is_written_as_toml(where, value):
    """Factors, levels and values of any characters come back from what is written."""
    tuned = Tuned(dataset="digits", where=where, settings={"model.activation": value}, trials=3, search="key")
    (found,) = tomllib.loads(_as_toml(tuned, "told"))["tuned"]
    assert Tuned(**found) == tuned


def test_search_goes_and_all_else_stays():
    """The tables of the search go, wherever they stand, and every other line stays as it was but the name's."""
    expected = PARTS.replace('"a"', '"b"') + MODEL
    for text in (PARTS + SEARCH + MODEL, PARTS + MODEL + SEARCH):
        left = _without_search(text, "a", "b")
        assert left.rstrip("\n") == expected.rstrip("\n")
        assert tomllib.loads(left) == {
            "name": "b",
            "question": "one line\u2028of a text",
            "model": tomllib.loads(MODEL)["model"],
        }
