"""Looks: which there are, that they are declared before the first, and what a report says of each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import plan_of, study_of

from benchmarks.cli.rendering import make_console
from benchmarks.cli.resolving import resolve
from benchmarks.errors import UserError
from benchmarks.plan.interim import planned_looks, seeds_at
from benchmarks.plan.plan import make_plan
from benchmarks.plan.registration import register_claims, standing
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.claims import least_seeds
from benchmarks.suite.reading import parse_suite

pytestmark = pytest.mark.usefixtures("undrawn")

FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")

SUITE = """
name = "looked"
datasets = ["digits"]
seeds = {seeds}

[model]
variant = "mlp_small"

[factors]
"model.activation" = ["relu", "tanh"]
{more}
"""

CLAIM = """
[[claims]]
statement = "Tanh beats ReLU"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.0
"""


def suite_of(seeds=7, more=CLAIM):
    return parse_suite(SUITE.format(seeds=seeds, more=more), "suite.toml")


@pytest.mark.parametrize(
    ("seeds", "most", "expected"),
    [
        # Of three looks each has 0.0167 of alpha, for which sign flips need 7 values: 2^-6 = 0.0156.
        (7, 28, (7, 14, 28)),
        (7, 20, (7, 14, 20)),
        (6, 24, (12, 24)),
        (3, 12, (12,)),
        (6, 6, (6,)),
        (10, 100, (10, 20, 40, 80, 100)),
    ],
)
def test_looks_double_from_the_seeds_of_the_suite(seeds, most, expected):
    """Up to the last, without those at which nothing could be decided."""
    looks = planned_looks(suite_of(seeds), most)
    assert looks.declared == looks.made == expected
    assert not looks.stand_in_suite


@given(st.integers(1, 40), st.integers(6, 3000))
@settings(deadline=None)
def test_every_look_can_decide_something(seeds, most):
    """They grow, the last is the most, and with its share of alpha each can reject."""
    if seeds > most:
        return
    looks = planned_looks(suite_of(seeds), most).declared
    assert looks[-1] == most
    assert list(looks) == sorted(set(looks))
    assert all(look >= max(seeds, least_seeds(0.05 / len(looks))) for look in looks)


def test_looks_of_the_suite_stand():
    """They are made as far as the call allows, and alpha is divided among all of them."""
    suite = suite_of(14, CLAIM + "[analysis]\nlooks = [8, 14, 20]\n")
    assert planned_looks(suite, None).made == (8, 14, 20)
    assert planned_looks(suite, 15).made == (8, 14)
    assert planned_looks(suite, 15).declared == (8, 14, 20)
    for most in (7, 21):
        with pytest.raises(UserError, match="allowed: 8 to 20"):
            planned_looks(suite, most)


@pytest.mark.parametrize(
    ("suite", "most", "told"),
    [
        (suite_of(more=""), 20, "claims nothing"),
        (suite_of(), None, "--max-seeds N"),
        (suite_of(), 6, "at least 7"),
        (suite_of(4), 5, "at least 6"),
    ],
)
def test_what_cannot_be_resolved_is_refused(suite, most, told):
    """With what to do instead."""
    with pytest.raises(UserError, match=told):
        planned_looks(suite, most)


def test_seeds_are_added_to_the_suites_own():
    """The smallest others, and none that a search has used."""
    assert seeds_at(suite_of("[3, 9]"), 5) == [3, 9, 0, 1, 2]
    assert seeds_at(suite_of("[3, 9]"), 1) == [3]
    search = '[search]\nstrategy = "random"\ntrials = 2\nobjective = "val_accuracy"\nseeds = [8]\n'
    search += '[search.space]\n"train.learning_rate" = { log = [1e-4, 1e-1] }\n'
    assert seeds_at(suite_of(7, search + CLAIM), 9) == [0, 1, 2, 3, 4, 5, 6, 7, 9]


# --- look by look -----------------------------------------------------------------------------------------------------


@dataclass
class Runner:
    """Resolves a suite, with results made up in place of training."""

    folder: Path
    advantage: float
    """Of tanh, in standard deviations of the differences."""
    text: str
    seeds_trained: list[int] = field(default_factory=list)
    """How many seeds each training had."""

    def __post_init__(self):
        self.store = Store.create_or_open(self.folder)
        self.suite = parse_suite(self.text, "suite.toml")

    def plan(self):
        return plan_of(self.text, self.store)

    def train(self, plan, stop_after=None):
        register_claims(plan, self.store)
        self.store.register(self.suite.name, self.text, list(plan.seeds), {"digits": FACTS}, plan.looks)
        self.seeds_trained.append(len(plan.seeds))
        for run in plan.missing[:stop_after]:
            noise = np.random.default_rng(run.seed).normal() * (run.cell.levels["model.activation"] == "tanh")
            level = self.advantage * (run.cell.levels["model.activation"] == "tanh")
            self.store.record(run, RunResult("done", {"test_accuracy": 0.5 + 0.01 * (level + noise)}), {})
        return plan.renewed(self.store), list(plan.runs)

    def resolve(self, most, train=None):
        plan = self.plan()
        looks = planned_looks(self.suite, most)
        return resolve(plan, looks, self.store, train or self.train, make_console())

    def claims(self):
        folder = write_report(study_of(self.store, self.suite.name), self.folder / "report").parent
        pages = [(folder / name).read_text(encoding="utf-8") for name in ("report.html", "report.md")]
        return json.loads((folder / "claims.json").read_text(encoding="utf-8")), pages

    def standing(self):
        return standing(study_of(self.store, self.suite.name))


@pytest.fixture
def runner(tmp_path):
    """Makes runners on one folder; datasets are not looked up."""
    return lambda advantage, more=CLAIM, seeds=7: Runner(tmp_path, advantage, SUITE.format(seeds=seeds, more=more))


def test_a_clear_claim_is_resolved_at_the_first_look(runner):
    """No further seeds are trained, and alpha was divided all the same."""
    found = runner(8.0)
    plan, own = found.resolve(28)
    assert (len(plan.seeds), len(own), found.seeds_trained) == (7, 14, [7])
    claims, _ = found.claims()
    assert claims["declared_looks"] == [7, 14, 28]
    assert claims["alpha_per_look"] == pytest.approx(0.05 / 3)
    assert [look["seeds"] for look in claims["looks_made"]] == [7]
    assert claims["claims"][0]["judgements"][0]["verdict"]["word"] == "supported"


def test_seeds_are_added_up_to_the_last_look(runner, capsys):
    """Without an effect nothing is resolved; every look is told, recorded and on the pages."""
    found = runner(0.0)
    plan, _ = found.resolve(28)
    assert (len(plan.seeds), found.seeds_trained) == (28, [7, 14, 28])
    told = capsys.readouterr().out
    assert "look 1 of 3, 7 seeds: Tanh beats ReLU (digits): inconclusive" in told
    assert "the last look was made" in told
    claims, pages = found.claims()
    assert [look["seeds"] for look in claims["looks_made"]] == [7, 14, 28]
    last = claims["looks_made"][-1]["judgements"][0]
    assert last["verdict"] == claims["claims"][0]["judgements"][0]["verdict"]
    for page in pages:
        assert "at 7, 14, 28 seeds; this is number 3" in page
        assert "1: 7 seeds" in page
        assert "3: 28 seeds" in page
    assert found.standing().unregistered == {}


def test_what_was_killed_goes_on_at_the_same_look(runner):
    """The seeds of finished looks are not trained again, and the end is that of a call that nobody killed."""
    found = runner(0.0)

    def killed_in_the_second(plan):
        if len(plan.seeds) > 7:
            found.train(plan, stop_after=3)
            raise KeyboardInterrupt
        return found.train(plan)

    with pytest.raises(KeyboardInterrupt):
        found.resolve(28, killed_in_the_second)
    again = runner(0.0)
    plan, _ = again.resolve(28)
    assert again.seeds_trained == [14, 28]
    assert len(plan.seeds) == 28
    claims, _ = again.claims()
    assert [look["seeds"] for look in claims["looks_made"]] == [7, 14, 28]
    assert again.standing().unregistered == {}
    once_more = runner(0.0)
    once_more.resolve(28)
    assert once_more.seeds_trained == []
    assert once_more.store.registration("looked").seeds == list(range(28))


def test_other_looks_after_one_was_made_are_exploratory(runner):
    """More seeds than were declared, once there are results, allow no verdict, and so it is after one plain run."""
    runner(0.0).resolve(14)
    later = runner(0.0)
    later.resolve(28)
    assert later.seeds_trained == [7]
    assert later.standing().unregistered == {
        "Tanh beats ReLU": "how claims are judged was changed after there were results"
    }


def test_looks_after_a_plain_run_are_exploratory(runner):
    """All of alpha was spent on its one look."""
    first = runner(0.0)
    first.train(first.plan())
    later = runner(0.0)
    later.resolve(28)
    assert "how claims are judged was changed" in later.standing().unregistered["Tanh beats ReLU"]


def test_other_looks_before_any_result_are_as_good_as_the_first(runner):
    """Nothing was seen, so nothing was chosen."""

    def killed_at_once(plan):
        runner(0.0).train(plan, stop_after=0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner(0.0).resolve(14, killed_at_once)
    later = runner(0.0)
    later.resolve(28)
    assert later.standing().unregistered == {}
    assert later.standing().looks == (7, 14, 28)


def test_a_plain_run_keeps_the_looks_that_were_made(runner, tmp_path):
    """A plan of the suite has them once there are results, so that alpha stays divided."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(seeds=7, more=CLAIM), encoding="utf-8")
    assert make_plan(path, tmp_path, tmp_path).looks == ()
    runner(8.0).resolve(28)
    assert list(make_plan(path, tmp_path, tmp_path).looks) == [7, 14, 28]
    # Also with seeds of which nothing was seen.
    path.write_text(SUITE.format(seeds=list(range(50, 57)), more=CLAIM), encoding="utf-8")
    assert list(make_plan(path, tmp_path, tmp_path).looks) == [7, 14, 28]
