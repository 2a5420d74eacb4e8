"""Searches over the store with a training that is made up: budgets, choices, interruptions, failures, reuse."""

from __future__ import annotations

import json
import math

import pytest
from studies import study_of

from benchmarks.analysis.searches import search_outcome
from benchmarks.files import states_folder
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.groups import WaitingRun, groups_of
from benchmarks.plan.ledger import search_state
from benchmarks.plan.stacks import training_key
from benchmarks.results import RunResult
from benchmarks.search.loop import TrialRecord, best_of, search_groups
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.suite import Suite
from benchmarks.training.checkpoints import Checkpoint, Position, States

VERSIONS = {"digits": "1.0.0"}
BEST_RATE = {"relu": 1e-2, "tanh": 3e-3}
FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "split", "classification")

SPACES = {
    "continuous": {"train.learning_rate": {"log": [1e-4, 1e-1]}, "train.weight_decay": {"log": [1e-6, 1e-2], "or": 0}},
    "finite": {"train.learning_rate": {"log": [1e-4, 1e-1], "step": 10}, "train.weight_decay": [0, 0.01]},
}
STRATEGIES = {
    "grid": {"strategy": "grid", "space": SPACES["finite"]},
    "random": {"strategy": "random", "rounds": 2},
    "bayesian": {"strategy": "bayesian", "initial": 4, "batch": 2},
    "hyperband": {"strategy": "hyperband"},
}


def suite_with(**search):
    """A suite of two cells that are tuned each alone, with 8 trials."""
    table = {"strategy": "random", "trials": 8, "objective": "val_accuracy", "space": SPACES["continuous"]}
    return Suite(
        name="searched",
        datasets=["digits"],
        seeds=2,
        model={"variant": "mlp_small"},
        train={"epochs": 9},
        factors={"model.activation": ["relu", "tanh"]},
        search=table | search,
    )


def score(run):
    """What the made-up training reaches: its best learning rate is known, and a short training is behind."""
    train = run.cell.settings.train
    distance = math.log10(train.coefficients()["learning_rate"] / BEST_RATE[run.cell.settings.model.activation])
    return 0.9 - 0.1 * distance**2 - train.weight_decay - 0.01 * (9 - (train.stop_after or 9)) + 1e-4 * (run.seed % 7)


class Lab:
    """A store, and a made-up training that notes what it was handed."""

    def __init__(self, folder, fails=lambda _: None):
        self.store, self.folder = Store.create_or_open(folder), folder
        self.trained, self.batches, self.fails = [], [], fails
        self.most = math.inf

    def train(self, runs):
        """Train as many of these runs as there are before it is killed."""
        self.batches.append(len(runs))
        for run in runs:
            if len(self.trained) == self.most:
                raise KeyboardInterrupt
            epochs = run.cell.settings.train.stop_after or run.cell.settings.train.epochs
            if run.cell.settings.train.stop_after:
                States(states_folder(self.folder)).of(training_key(run)).write(
                    epochs, Checkpoint(Position(1, 0), {}, {})
                )
            status = self.fails(run) or "done"
            metrics = {"val_accuracy": score(run), "test_accuracy": 1.0} if status == "done" else {}
            result = RunResult(status, metrics, {"train_loss": [1.0] * epochs}, message=None)
            self.store.record(run, result, {"cores": 1})
            self.trained.append(run)

    def search(self, suite):
        """Search all groups of a suite; what is stored of each."""
        groups = groups_of(suite, expand_cells(suite), VERSIONS)
        search_groups(groups, self.store, self.train)
        stored = self.store.searches(group.key for group in groups)
        return [stored[group.key] for group in groups]

    def outcome(self, suite):
        """What a report is told, once the reported runs are trained."""
        self.store.register(suite.name, as_toml(suite), suite.seed_list, {"digits": FACTS})
        study = study_of(self.store, suite.name)
        if not any(isinstance(run, WaitingRun) for run in study.runs):
            self.train(study.runs)
        return search_outcome(study)


def as_toml(suite):
    """The text of such a suite."""
    keys = {"name": suite.name, "datasets": suite.datasets, "seeds": suite.seeds}
    keys |= {"model": suite.model, "train": suite.train, "factors": suite.factors}
    keys["search"] = suite.search.differing_from_default()
    return "\n".join(f"{key} = {inline(value)}" for key, value in keys.items())


def inline(value):
    """A value in one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def trials_of(searches):
    return [search.trials for search in searches]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_finds_the_optimum_of_each_group(strategy, tmp_path):
    """Each cell gets settings near its own optimum, which the other's are not, and the store says so alone."""
    suite, lab = suite_with(**STRATEGIES[strategy] | {"trials": 24}), Lab(tmp_path)
    searches = lab.search(suite)
    for search, best in zip(searches, BEST_RATE.values(), strict=True):
        assert abs(math.log10(search.chosen["train.learning_rate"] / best)) < 0.55
        whole = [trial for trial in search.trials if trial["budget"] in (None, 9)]
        assert search.chosen == max(whole, key=lambda trial: trial["score"])["values"]
    if strategy == "grid":
        assert searches[0].chosen == {"train.learning_rate": 0.01, "train.weight_decay": 0.0}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_anywhere_goes_on_with_the_same_trials(strategy, tmp_path):
    """Killed again and again, a search has trials, scores and choices of one that was not, and trains none twice."""
    suite, undisturbed, killed = suite_with(**STRATEGIES[strategy]), Lab(tmp_path / "one"), Lab(tmp_path / "two")
    expected = undisturbed.search(suite)
    for number in range(1, len(undisturbed.trained), 3):
        killed.most = number
        with pytest.raises(KeyboardInterrupt):
            killed.search(suite)
        assert killed.store.found() == {}
    killed.most = math.inf
    found = killed.search(suite)
    assert trials_of(found) == trials_of(expected)
    assert [search.chosen for search in found] == [search.chosen for search in expected]
    keys = [run.key for run in killed.trained]
    assert len(keys) == len(set(keys))
    assert sorted(keys) == sorted(run.key for run in undisturbed.trained)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_budgets_are_equal(strategy, tmp_path):
    """Every group tries equally many points, or spends equally many epochs, and the budget is told."""
    suite, lab = suite_with(**STRATEGIES[strategy], seeds=[7, 8]), Lab(tmp_path)
    lab.search(suite)
    outcome = lab.outcome(suite)
    budgets = [group.budget for group in outcome.groups]
    assert budgets[0] == budgets[1]
    if strategy == "hyperband":
        assert budgets[0].epochs <= 8 * 9 * 2
        assert {trial.record.budget for trial in outcome.groups[0].trials} == {1, 3, 9}
    else:
        assert (budgets[0].trials, budgets[0].runs, budgets[0].epochs) == (8, 16, 8 * 2 * 9)


def test_many_trials_at_a_time(tmp_path):
    """Trials of all groups are dispatched together: grid and random all at once, a model's by batches."""
    for strategy, batches in (("grid", [16]), ("random", [8, 8]), ("bayesian", [8, 4, 4])):
        lab = Lab(tmp_path / strategy)
        lab.search(suite_with(**STRATEGIES[strategy]))
        assert lab.batches == batches


def test_trials_are_paired_over_groups(tmp_path):
    """Where points are drawn at random, all groups are tried at the same ones."""
    first, second = Lab(tmp_path).search(suite_with())
    assert [trial["values"] for trial in first.trials] == [trial["values"] for trial in second.trials]
    other = Lab(tmp_path / "other").search(suite_with(seed=1))[0]
    assert [trial["values"] for trial in first.trials] != [trial["values"] for trial in other.trials]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_trials_that_fail_count_as_worst(strategy, status, tmp_path):
    """Trials with large rates fail: they have no score, are not chosen, and the others are as good as ever."""
    lab = Lab(tmp_path, lambda run: status if run.cell.settings.train.learning_rate > 5e-3 else None)
    for search in lab.search(suite_with(**STRATEGIES[strategy])):
        assert {trial["values"]["train.learning_rate"] > 5e-3 for trial in search.trials if trial["score"] is None} == {
            True
        }
        assert search.chosen["train.learning_rate"] <= 5e-3


def test_nothing_that_is_stored_is_tried_again(tmp_path):
    """Where all trials fail nothing is chosen, and they stand until somebody has their runs tried again."""
    suite, lab = suite_with(), Lab(tmp_path, lambda _: "failed")
    for _ in range(2):
        assert [(search.chosen, len(search.trials)) for search in lab.search(suite)] == [({}, 8)] * 2
        assert len(lab.trained) == 16
    lab.fails = lambda _: None
    lab.store.reopen([run.key for run in lab.trained], ["failed"])
    assert all(search.chosen for search in lab.search(suite))
    assert len(lab.trained) == 32


def test_values_that_do_not_go_together(tmp_path):
    """A point that only together is refused, beyond the corners that were checked, is a failed trial without runs."""
    space = {"train.optimizer": ["adam", "adamw"], "train.weight_decay": {"choices": [0, 0.01]}}
    lab = Lab(tmp_path)
    (first, _) = lab.search(suite_with(strategy="grid", trials=4, space=space))
    refused = [trial for trial in first.trials if not trial["keys"]]
    assert [trial["values"] for trial in refused] == [{"train.optimizer": "adamw", "train.weight_decay": 0}]
    assert refused[0]["score"] is None
    assert len(lab.trained) == 6


def test_what_is_stored_is_not_trained_again(tmp_path):
    """Trials are runs as any other: other searches and suites use them, whatever they are called."""
    lab = Lab(tmp_path)
    lab.search(suite_with(strategy="grid", space=SPACES["finite"]))
    assert len(lab.trained) == 16
    wider = {**SPACES["finite"], "train.weight_decay": [0, 0.01, 0.1]}
    lab.search(suite_with(strategy="grid", trials=12, space=wider))
    assert len(lab.trained) == 24
    lab.search(suite_with(strategy="grid", space=SPACES["finite"], per="suite"))
    assert len(lab.trained) == 24
    ordinary = Suite(
        name="other",
        datasets=["digits"],
        seeds=[1000],
        model={"variant": "mlp_small"},
        train={"epochs": 9, "learning_rate": 0.01},
        factors={"model.activation": ["relu", "tanh"]},
    )
    runs = expand_runs(expand_cells(ordinary), [1000], VERSIONS)
    assert {run.key for run in runs} <= {run.key for run in lab.trained}


def test_rounds_narrow_around_the_best(tmp_path):
    """The second round tries a quarter of the range in logarithms around the best of the first, within the budget."""
    space = {"train.learning_rate": {"log": [1e-4, 1e-1]}}
    for search in Lab(tmp_path).search(suite_with(trials=13, rounds=2, space=space)):
        rounds = [[trial for trial in search.trials if trial["round"] == number] for number in (0, 1)]
        assert list(map(len, rounds)) == [7, 6]
        best = max(rounds[0], key=lambda trial: trial["score"])["values"]["train.learning_rate"]
        reach = 10 ** (3 / 8) * (1 + 1e-9)
        assert all(best / reach <= trial["values"]["train.learning_rate"] <= best * reach for trial in rounds[1])
        assert search.chosen == max(search.trials, key=lambda trial: trial["score"])["values"]


def test_hyperband_keeps_states_only_while_they_may_be_continued(tmp_path):
    """During the search there are states of rungs under way; after it, none."""
    lab, kept, losers = Lab(tmp_path), [], []
    train = lab.train

    def watched(runs):
        folder = States(states_folder(tmp_path))
        wanted = {training_key(run) for run in runs}
        kept.append(len(folder.kept()))
        stops = {run.cell.settings.train.stop_after or 9 for run in runs}
        if 1 not in stops:
            losers.append(set(folder.kept()) - wanted)
        train(runs)

    lab.train = watched
    lab.search(suite_with(strategy="hyperband", trials=4))
    assert max(kept) > 0
    assert all(not each for each in losers)
    assert list(states_folder(tmp_path).iterdir()) == []


def test_hyperband_chooses_among_the_longest_trainings():
    """A short training with a better score is not chosen: what it would have become is not known."""
    records = [
        TrialRecord(0, 0, {"a": 1}, 1, None, ["x"], 0.9),
        TrialRecord(0, 1, {"a": 2}, 9, None, ["y"], 0.8),
        TrialRecord(0, 2, {"a": 3}, 9, None, ["z"], 0.8),
        TrialRecord(0, 3, {"a": 4}, 9, None, ["z"], None),
    ]
    assert best_of(records, "max") == records[1]
    assert best_of(records[:1], "max") == records[0]
    assert best_of(records[3:], "max") is None
    assert best_of([TrialRecord(0, n, {}, None, None, [], s) for n, s in enumerate((2.0, 1.0, 1.0))], "min").number == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_looks_on_sees_each_trial_end(strategy, tmp_path):
    """Before, during and after a search, and after a kill, the store tells how many trials of each group have ended."""
    suite, lab, seen = suite_with(**STRATEGIES[strategy], seeds=[7, 8]), Lab(tmp_path), []
    lab.store.register(suite.name, as_toml(suite), suite.seed_list, {"digits": FACTS})
    record = lab.store.record

    def state():
        return search_state(study_of(lab.store, suite.name)).groups

    def recorded(run, *others):
        record(run, *others)
        seen.append(sum(each.trials for each in state()))

    before = state()
    assert {(each.status, each.trials) for each in before} == {("to be made", 0)}
    lab.store.record, lab.most = recorded, 11
    with pytest.raises(KeyboardInterrupt):
        lab.search(suite)
    assert {each.status for each in state()} == {"under way"}
    lab.most = math.inf
    searches = lab.search(suite)
    # A trial of two runs has ended with the second of them.
    assert seen == [number // 2 for number in range(1, len(lab.trained) + 1)]
    assert [each.trials for each in state()] == [len(search.trials) for search in searches]
    assert [each.most_trials for each in before] == [each.most_trials for each in state()]
    assert {each.status for each in state()} == {"ended"}
    assert search_state(study_of(lab.store, suite.name)).as_text().startswith("search: 2 of 2 groups searched, ")


def test_outcome_for_a_report(tmp_path):
    """Curves, chosen settings, the gap to the re-run and sensitivities follow from the made-up scores."""
    suite, lab = suite_with(strategy="grid", space=SPACES["finite"]), Lab(tmp_path)
    before = lab.outcome(suite)
    assert [(group.has_ended, group.chosen, group.reruns_by_seed) for group in before.groups] == [(False, {}, {})] * 2
    lab.search(suite)
    outcome = lab.outcome(suite)
    relu, _ = outcome.groups
    assert relu.chosen == {"train.learning_rate": 0.01, "train.weight_decay": 0.0}
    assert relu.search_score == pytest.approx(0.9 + 1e-4 * (1000 % 7))
    assert relu.reruns_by_seed == pytest.approx({0: 0.9, 1: 0.9 + 1e-4})
    assert outcome.gap(relu).values == pytest.approx((1e-4 * 6, 1e-4 * 5))
    scores = [trial.record.score for trial in relu.trials]
    assert list(relu.best_so_far) == [max(scores[: end + 1]) for end in range(8)]
    told = {each.level: each for each in outcome.sensitivities}
    assert {level: (each.n_scores, each.n_without) for level, each in told.items()} == {"relu": (8, 0), "tanh": (8, 0)}
    assert (told["relu"].best, told["relu"].worst) == (max(scores), min(scores))
    distances = [math.log10(rate / BEST_RATE["relu"]) ** 2 for rate in (1e-4, 1e-3, 1e-2, 1e-1)]
    costs = sorted(0.1 * each + decay for each in distances for decay in (0, 0.01))
    assert told["relu"].loss_of_the_median == pytest.approx((costs[3] + costs[4]) / 2)


def test_outcome_of_one_search_tells_levels_apart(tmp_path):
    """Where all cells are tuned together, the sensitivity of each level is still that of its own cells."""
    suite, lab = suite_with(strategy="grid", space=SPACES["finite"], per="suite"), Lab(tmp_path)
    (search,) = lab.search(suite)
    together = {each.level: each for each in lab.outcome(suite).sensitivities}
    alone_suite, alone_lab = suite_with(strategy="grid", space=SPACES["finite"]), Lab(tmp_path / "alone")
    alone_lab.search(alone_suite)
    assert together == {each.level: each for each in alone_lab.outcome(alone_suite).sensitivities}
    best = max(search.trials, key=lambda trial: trial["score"])
    runs = lab.store.runs(best["keys"])
    assert best["score"] == pytest.approx(sum(run.metrics["val_accuracy"] for run in runs.values()) / 2)


def test_searches_are_kept(tmp_path):
    """A search that has ended is noted, and one that is noted anew replaces itself."""
    store = Store.create_or_open(tmp_path)
    assert (store.found(), store.searches(["a"])) == ({}, {})
    store.record_search("a", [{"score": 1.0}], {"x": 2})
    store.record_search("a", [{"score": 3.0}], {"x": 4})
    assert store.found() == {"a": {"x": 4}}
    assert [(search.key, search.trials) for search in store.searches(["a", "b"]).values()] == [("a", [{"score": 3.0}])]
