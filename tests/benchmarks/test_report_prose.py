"""What a report says of a verdict: all that can be said, and never more than the verdict."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.analysis.verdicts import REFUTATIONS, Verdict, evidence_of, verdict_of
from benchmarks.report.prose import DECIDED, NO_MATTER_OF_SEEDS, OPEN, Names, sentence
from benchmarks.suite.claims import ACROSS_DATASETS, CLAIM_KINDS

ANALYSIS = Path(__file__).parents[2] / "benchmarks" / "analysis"
NAMES = Names("he", "glorot", "0.2 points", " by more than 0.2 points")


def kinds_in_the_code():
    """Every (word, kind) of a `Verdict` and every kind of an `Obstacle` that judging claims writes down."""
    verdicts, obstacles = set(), set()
    for name in ("claims.py", "datasets.py", "verdicts.py"):
        for node in ast.walk(ast.parse((ANALYSIS / name).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            # `"a" if x else "b"` has both.
            values = [
                [
                    each.value
                    for each in ast.walk(argument)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ]
                for argument in node.args
            ]
            if node.func.id == "Verdict":
                verdicts |= set(itertools.product(*values[:2]))
            if node.func.id == "Obstacle":
                obstacles |= set(values[0])
    return verdicts, obstacles


def test_every_verdict_of_the_code_has_its_sentence():
    """No kind is written in the analysis for which a report has no words, and none is left over."""
    verdicts, obstacles = kinds_in_the_code()
    inconclusive = {kind for word, kind in verdicts if word == "inconclusive"} | obstacles
    assert inconclusive == set(OPEN)
    verdicts |= {("refuted", kind) for kind in REFUTATIONS.values()}
    assert {each for each in verdicts if each[0] != "inconclusive"} == {(word, kind) for _, word, kind in DECIDED}
    assert set(NO_MATTER_OF_SEEDS) < set(OPEN)


@pytest.mark.parametrize("across", ACROSS_DATASETS)
@pytest.mark.parametrize("kind", OPEN)
def test_an_open_question_takes_no_side(kind, across):
    """Whatever the reason, neither level is called better, worse or as good."""
    text = sentence("superiority", across, Verdict("inconclusive", kind, "5<6"), NAMES)
    assert text.startswith("The runs do not decide the claim: ")
    assert "(5<6)" in text
    assert "he" not in text.replace("the", "").split()
    assert not any(
        word in text for word in ("glorot", "better", "worse", "supported", "refuted", "less than", "equal to")
    )


@pytest.mark.parametrize(("kind", "word", "verdict_kind"), DECIDED)
def test_a_decided_claim(kind, word, verdict_kind):
    """Word, levels and margin are named; a verdict about several datasets says which."""
    verdict = Verdict(word, verdict_kind, "on d1")
    scopes = {"each": "", "average": "average of these datasets", "generalises": "datasets such as these"}
    for across, scope in scopes.items():
        text = sentence(kind, across, verdict, NAMES)
        assert text.startswith("The runs support it: " if word == "supported" else "The runs speak against it: ")
        assert all(each in text for each in ("he", "glorot", "0.2 points", scope))
        assert text.count(".") == 2
    on_all = sentence(kind, "all", verdict, NAMES)
    assert ("on every one of the datasets" in on_all) == (word == "supported")
    assert ("it is refuted on d1" in on_all) == (word == "refuted")


def test_a_refuted_claim_about_all_says_no_way_in_which_it_fails():
    """Datasets may refute it in different ways; the verdict has the first one's."""
    text = sentence("superiority", "all", Verdict("refuted", "reversed", "on d0, d1"), NAMES)
    assert "glorot" not in text
    assert "better" not in text


def test_a_margin_of_zero_is_not_spelt_out():
    """Nobody needs to be told of more than nothing."""
    text = sentence("superiority", "each", Verdict("supported", "superior"), Names("he", "glorot", "0 points", ""))
    assert text == "The runs support it: he is better than glorot."


PROMISES = {
    "he is better than glorot by more than": lambda found: found.ci_low > found.margin,
    "glorot is better than he by more than": lambda found: found.ci_high < -found.margin,
    "he is worse than glorot by more than": lambda found: found.ci_high < -found.margin,
    "he falls behind glorot by more than": lambda found: found.ci_high < -found.margin,
    "he falls behind glorot by less than": lambda found: found.ci_low > -found.margin,
    "he is not better than glorot by more than": lambda found: found.ci_high < found.margin,
    "he and glorot differ by less than": lambda found: -found.margin < found.ci_low and found.ci_high < found.margin,
}
"""What a sentence says -> what the interval must then be."""


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.integers(-8, 8), min_size=6, max_size=9),
    st.integers(-12, 12),
    st.sampled_from(list(CLAIM_KINDS)),
    st.sampled_from([1.0, 4.0, 9.0]),
    st.sampled_from([1, 20]),
)
def test_no_sentence_says_more_than_the_interval(spread, shift, kind, margin, family):
    """Whatever the differences and however many claims, what is said of the levels is true of the whole interval."""
    found = evidence_of([value / 4 + shift for value in spread], margin, kind, family=family)
    verdict = verdict_of(found, min(1.0, family * found.tested.p))
    text = sentence(kind, "each", verdict, NAMES)
    said = [check(found) for promise, check in PROMISES.items() if promise in text]
    assert said == ([] if verdict.word == "inconclusive" else [True])
