"""The search of a suite: what is refused before anything is trained, which cells are tuned together, what is tuned."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.group_checks import check_groups
from benchmarks.plan.groups import WaitingRun, groups_of, tuned_runs, tuned_tables
from benchmarks.plan.plan import make_plan
from benchmarks.settings.run import settings_from
from benchmarks.store import StoredSearch
from benchmarks.suite.search import OBJECTIVES
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

SEARCH = {
    "strategy": "random",
    "trials": 4,
    "objective": "val_accuracy",
    "space": {"train.learning_rate": {"log": [1e-4, 1e-1]}},
}


def suite_with(search=(), **changes):
    """A suite of two factors with a search."""
    table = {
        "name": "searched",
        "datasets": ["digits"],
        "seeds": 2,
        "model": {"variant": "mlp_small"},
        "train": {"epochs": 9},
        "factors": {"model.activation": ["relu", "tanh"], "model.depth": [1, 2]},
    }
    return Suite(**(table | ({} if search is None else {"search": SEARCH | dict(search)}) | changes))


def groups_with(search=(), **changes):
    """The groups of such a suite, checked."""
    suite = suite_with(search, **changes)
    groups = groups_of(suite, expand_cells(suite), dict.fromkeys(suite.datasets, "1.0.0"))
    check_groups(groups, suite.seed_list)
    return groups


def space(**parameters):
    """A search of this space, with dots for the double underscores."""
    return {"space": {name.replace("__", "."): written for name, written in parameters.items()}}


@pytest.mark.parametrize(
    ("search", "changes", "path"),
    [
        ({"space": {}}, {}, "search.space"),
        (space(train__learning_rate={"log": [0.1, 0.01]}), {}, 'search.space."train.learning_rate".log'),
        (space(train__learning_rate={"log": [0, 0.1]}), {}, 'search.space."train.learning_rate".log'),
        (space(model__dropout={"linear": [0, 0.5], "step": 0.3}), {}, 'search.space."model.dropout".step'),
        (space(model__activation=["relu", "elu"]), {}, 'search.space."model.activation"'),
        (
            space(train__momentum=[0.8, 0.9]),
            {"factors": {"recipe": {"a": {"train.momentum": 0.7}, "b": {"train.learning_rate": 0.1}}},
             "train": {"optimizer": "momentum"}},
            'search.space."train.momentum"',
        ),
        ({"seeds": [1, 1000]}, {}, "search.seeds"),
        ({"seeds": [5, 5]}, {}, "search.seeds[1]"),
        ({"objective": "val_acuracy"}, {}, "search.objective"),
        ({"objective": "test_accuracy"}, {}, "search.objective"),
        ({"objective": "train_loss"}, {}, "search.objective"),
        ({"objective": "val_rmse"}, {}, "search.objective"),
        ({"objective": "val_rmse", "per": "suite"}, {"datasets": ["diabetes", "other"]}, "search.objective"),
        ({"trials": 0}, {}, "search.trials"),
        ({"rounds": 5}, {}, "search.rounds"),
        ({"strategy": "grid"}, {}, 'search.space."train.learning_rate"'),
        ({"strategy": "grid"} | space(model__dropout=[0, 0.1, 0.2, 0.3, 0.4]), {}, "search.trials"),
        ({"strategy": "grid", "rounds": 2} | space(model__dropout=[0, 0.1]), {}, "search.rounds"),
        ({"rounds": 2} | space(model__dropout=[0, 0.1, 0.2]), {}, "search.rounds"),
        ({"strategy": "simulated_annealing"}, {}, "search.strategy"),
        ({"strategy": "hyperband", "trials": 1}, {}, "search.trials"),
        ({"strategy": "hyperband"}, {"train": {"steps": 100}}, "search.strategy"),
        ({"strategy": "hyperband"}, {"train": {"epochs": 9, "stop_after": 3}}, "search.strategy"),
        (
            {"strategy": "hyperband", "per": "suite", "trials": 9},
            {"factors": {"train.epochs": [9, 12]}},
            "search.strategy",
        ),
        ({"per": ["model.activation", "model.dept"]}, {}, "search.per[1]"),
        ({"per": "cells"}, {}, "search.per"),
        ({"per": ["model.depth", "model.depth"]}, {}, "search.per"),
        (space(train__epochs=[5, 9]), {}, 'search.space."train.epochs"'),
        (space(train__steps=[5, 9]), {}, 'search.space."train.steps"'),
        (space(train__stop_after=[5, 9]), {}, 'search.space."train.stop_after"'),
        (space(data__validation_fraction=[0.1, 0.2]), {}, 'search.space."data.validation_fraction"'),
        (space(train__learning_rat=[0.1, 0.2]), {}, 'search.space."train.learning_rat"'),
        ({"objective": "val_loss"} | space(train__loss=["squared", "huber"]), {}, 'search.space."train.loss"'),
        ({}, {"data": {"validation_fraction": 0}}, "search"),
        ({}, {"factors": {"data.validation_fraction": [0.1, 0]}}, "search"),
        ({"per": "suite"}, {"factors": {"data.validation_fraction": [0.1, 0.2]}}, "search.per"),
        ({"batch": 2}, {}, "search.batch"),
        ({"tirals": 2}, {}, "search.tirals"),
        (space(train__momentum={"choices": [0.8, 0.9], "when": {"train.optimizr": "momentum"}}), {},
         'search.space."train.momentum".when."train.optimizr"'),
        ({}, {"tuned": [{"settings": {"train.batch_size": 32}}]}, "search"),
        # What a setting itself refuses, at the end of a range, among choices or beside it.
        (space(model__dropout={"linear": [0.0, 1.0]}), {}, 'search.space."model.dropout"'),
        (space(model__width=[16, 0]), {}, 'search.space."model.width"'),
        (space(model__width={"linear": [16.0, 32.0]}), {}, 'search.space."model.width"'),
        (space(train__weight_decay={"log": [1e-6, 1e-2], "or": "none"}), {}, 'search.space."train.weight_decay"'),
        (space(train__optimizer=["momentum", "adm"]), {}, 'search.space."train.optimizer"'),
        (
            space(train__optimizer=["momentum", "adam"], train__momentum={"linear": [0.8, 0.99]}),
            {},
            'search.space."train.momentum"',
        ),
    ],
)  # fmt: skip
def test_refused_before_training(search, changes, path):
    """What cannot be searched is refused, with the path of the key."""
    with pytest.raises(SettingError) as caught:
        groups_with(search, **changes)
    assert path in [problem.path for problem in caught.value.problems]


def test_refused_with_the_file_and_the_seeds_of_the_command(tmp_path):
    """The plan of a suite file refuses too, naming the file; seeds that the command line gives are reported seeds."""
    path = tmp_path / "searched.toml"
    text = """
    name = "searched"
    datasets = ["digits"]
    seeds = 2
    model = { variant = "mlp_small" }
    factors = { "model.depth" = [1, 2] }
    [search]
    strategy = "random"
    trials = 2
    objective = "val_accuracy"
    seeds = [7]
    space = { "train.learning_rate" = { log = [1e-4, 1e-1] } }
    """
    path.write_text(text, encoding="utf-8")
    assert make_plan(path, tmp_path / "runs", tmp_path).counts["missing"] == 4
    with pytest.raises(SettingError, match=re.escape(f"{path}:\nsearch.seeds: seeds that the report uses too")):
        make_plan(path, tmp_path / "runs", tmp_path, num_seeds=8)


def test_whole_ends_of_a_fraction():
    """[0, 1] of a setting that takes fractions is all between 0 and 1; of a setting in whole numbers, whole numbers."""
    (group, *_) = groups_with(space(train__label_smoothing={"linear": [0, 0.5]}, train__clip_norm={"linear": [0, 5]},
                                    model__width={"linear": [8, 16]}))  # fmt: skip
    sizes = {path: parameter.size for path, parameter in group.space.parameters.items()}
    assert sizes == {"train.label_smoothing": None, "train.clip_norm": None, "model.width": 9}


def test_objectives_are_of_validation():
    """There is no objective that looks at the test split, and each knows its better direction."""
    assert set(OBJECTIVES) == {"val_accuracy", "val_rmse", "val_loss"}
    assert {name: groups_with({"objective": name})[0].table.direction for name in ("val_accuracy", "val_loss")} == {
        "val_accuracy": "max",
        "val_loss": "min",
    }


@pytest.mark.parametrize(
    ("per", "sizes"),
    [
        ("cell", {("digits", "relu", "1"): 1, ("digits", "relu", "2"): 1, ("digits", "tanh", "1"): 1,
                  ("digits", "tanh", "2"): 1, ("wine", "relu", "1"): 1, ("wine", "relu", "2"): 1,
                  ("wine", "tanh", "1"): 1, ("wine", "tanh", "2"): 1}),
        ("suite", {(None,): 8}),
        (["model.depth"], {(None, "1"): 4, (None, "2"): 4}),
        (["dataset"], {("digits",): 4, ("wine",): 4}),
        (["dataset", "model.activation"], {("digits", "relu"): 2, ("digits", "tanh"): 2, ("wine", "relu"): 2,
                                           ("wine", "tanh"): 2}),
    ],
)  # fmt: skip
def test_groups(per, sizes):
    """Cells are tuned together by what `per` names; each group has its cells and its own key."""
    groups = groups_with({"per": per}, datasets=["digits", "wine"])
    assert {(group.dataset, *group.where.values()): len(group.cells) for group in groups} == sizes
    assert len({group.key for group in groups}) == len(groups)


def test_key_of_a_group():
    """A search has another key where anything differs that decides its trials or scores, and only there."""

    def key(search=(), **changes):
        return groups_with(search, **changes)[0].key

    others = [
        key({"trials": 5}),
        key({"strategy": "bayesian"}),
        key({"objective": "val_loss"}),
        key({"seeds": [1001]}),
        key({"rounds": 2}),
        key({"seed": 1}),
        key(space(train__learning_rate={"log": [1e-4, 1e-2]})),
        key(train={"epochs": 10}),
        key(datasets=["wine"]),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert (
        key() == key(name="other", seeds=5, claims=[]) == key({"space": {"train.learning_rate": {"log": [1e-4, 0.1]}}})
    )
    assert key() == groups_with({"per": ["model.activation", "model.depth", "dataset"]})[0].key


def test_trials_as_runs():
    """A trial is every cell of its group with every seed of the search; only one that ends early says so."""
    (group,) = groups_with({"per": "suite", "seeds": [7, 8]})
    runs = group.runs_at({"train.learning_rate": 0.01}, budget=3)
    assert [(run.cell.title, run.seed) for run in runs] == [
        (f"{activation}, {depth}", seed) for activation in ("relu", "tanh") for depth in "12" for seed in (7, 8)
    ]
    assert {(run.cell.settings.train.learning_rate, run.cell.settings.train.stop_after) for run in runs} == {(0.01, 3)}
    whole = {run.key for run in group.runs_at({"train.learning_rate": 0.01}, budget=9)}
    assert whole == {run.key for run in group.runs_at({"train.learning_rate": 0.01})}


OUTER = {
    "train.learning_rate": {"log": [1e-4, 1e-1]},
    "train.momentum": {"linear": [0.8, 0.99], "when": {"train.optimizer": ["momentum", "nesterov"]}},
    "train.schedule": {"choices": ["constant", "step"], "when": {"train.optimizer": "nesterov"}},
    "train.decay_factor": {"linear": [0.1, 0.5], "when": {"train.schedule": "step"}},
}


def test_condition_on_a_factor():
    """A parameter may depend on a setting that is not searched: groups where it has no effect leave it out."""
    factors = {"train.optimizer": ["adam", "momentum", "nesterov"]}
    groups = groups_with({"space": OUTER}, factors=factors)
    assert {group.where["train.optimizer"]: set(group.space.parameters) for group in groups} == {
        "adam": {"train.learning_rate"},
        "momentum": {"train.learning_rate", "train.momentum"},
        "nesterov": {"train.learning_rate", "train.momentum", "train.schedule", "train.decay_factor"},
    }
    with pytest.raises(SettingError, match="differ in a setting on which this depends"):
        groups_with({"space": OUTER, "per": "suite"}, factors=factors)
    only = {"train.momentum": {"linear": [0.8, 0.99], "when": {"train.optimizer": "momentum"}}}
    adam, momentum = groups_with({"space": only}, factors={"train.optimizer": ["adam", "momentum"]})
    assert (adam.space, adam.configs) == (None, [])
    assert momentum.space is not None


@pytest.mark.parametrize(
    ("search", "path", "given", "allowed"),
    [
        (
            space(train__momentum={"linear": [0.8, 0.99], "when": {"train.optimizer": "momentum"}}),
            "train.momentum",
            'train.optimizer = "momentum"',
            'what cells have: train.optimizer = "adam"',
        ),
        (
            space(
                train__schedule={"choices": ["constant", "step"], "when": {"model.activation": ["elu", "gelu"]}},
                train__decay_factor={"linear": [0.1, 0.5], "when": {"train.schedule": "step"}},
            ),
            "train.schedule",
            'model.activation = "elu" or "gelu"',
            'what cells have: model.activation = "relu" or "tanh"',
        ),
    ],
    ids=["alone", "with others that depend on it"],
)
def test_a_condition_that_no_trial_can_meet(search, path, given, allowed):
    """A setting that is searched in no cell is refused by its key, with what cells have."""
    with pytest.raises(SettingError) as caught:
        groups_with(search)
    problem = caught.value.problems[0]
    assert (problem.path, problem.given, problem.allowed) == (f'search.space."{path}".when', given, allowed)


def test_runs_wait_for_their_search():
    """Before a search has ended, its cells' runs have keys of no run that can be stored, and are counted as missing."""
    suite = suite_with()
    cells, versions = expand_cells(suite), {"digits": "1.0.0"}
    waiting = tuned_runs(suite, cells, groups_of(suite, cells, versions), suite.seed_list, versions, {})
    untuned = tuned_runs(suite_with(None), cells, groups_of(suite_with(None), cells, versions), [0, 1], versions, {})
    assert all(isinstance(run, WaitingRun) for run in waiting)
    assert not {run.key for run in waiting} & {run.key for run in untuned}
    assert len({run.key for run in waiting}) == len(waiting) == 8


def test_tuned_runs_have_what_was_found():
    """Once a search has ended, the runs of its cells, and no others, have the settings that it chose."""
    suite = suite_with()
    cells, versions = expand_cells(suite), {"digits": "1.0.0"}
    first, second, *_ = groups_of(suite, cells, versions)
    found = {first.key: {"train.learning_rate": 0.02}, second.key: {}}
    runs = tuned_runs(suite, cells, groups_of(suite, cells, versions), suite.seed_list, versions, found)
    assert [(run.cell.settings.train.learning_rate, isinstance(run, WaitingRun)) for run in runs] == (
        [(0.02, False)] * 2 + [(None, False)] * 2 + [(None, True)] * 4
    )
    ordinary = settings_from({"model.variant": "mlp_small", "train.epochs": 9, "model.activation": "relu",
                              "model.depth": 1, "train.learning_rate": 0.02})  # fmt: skip
    assert runs[0].cell.settings == ordinary


def test_written_settings_give_the_same_runs():
    """A suite that has what was found in `tuned` has the runs of the suite that found it."""
    suite = suite_with({"per": ["model.depth"]}, datasets=["digits", "wine"])
    cells, versions = expand_cells(suite), {"digits": "1.0.0", "wine": "1.0.0"}
    groups = groups_of(suite, cells, versions)
    found = {group.key: {"train.learning_rate": 0.01 * (1 + index)} for index, group in enumerate(groups)}
    searches = {key: StoredSearch(key, [{}] * 7, chosen, "") for key, chosen in found.items()}
    nothing = {group.key: StoredSearch(group.key, [], {}, "") for group in groups}
    assert tuned_tables(suite, groups, nothing) == []
    tables = tuned_tables(suite, groups, searches)
    assert [table.where for table in tables] == [{"model.depth": 1}, {"model.depth": 2}]
    assert [(table.trials, table.search) for table in tables] == [(7, group.key) for group in groups]
    entries = [table.model_dump() for table in tables]
    written = suite_with(None, datasets=["digits", "wine"], tuned=entries)
    keys = [run.key for run in tuned_runs(suite, cells, groups_of(suite, cells, versions), [0, 1], versions, found)]
    assert [
        run.key
        for run in tuned_runs(
            written, expand_cells(written), groups_of(written, expand_cells(written), versions), [0, 1], versions, {}
        )
    ] == keys
    assert Counter(
        run.cell.settings.train.learning_rate
        for run in tuned_runs(suite, cells, groups_of(suite, cells, versions), [0, 1], versions, found)
    ) == {
        0.01: 8,
        0.02: 8,
    }


@pytest.mark.parametrize(
    ("tuned", "path"),
    [
        ([{"dataset": "mnist", "settings": {"model.width": 8}}], "tuned[0].dataset"),
        ([{"where": {"model.dept": 1}, "settings": {"model.width": 8}}], 'tuned[0].where."model.dept"'),
        ([{"where": {"model.depth": 3}, "settings": {"model.width": 8}}], 'tuned[0].where."model.depth"'),
        ([{"settings": {"model.widht": 8}}], 'tuned[0].settings."model.widht"'),
        ([{"settings": {"model.depth": 1}}], 'tuned[0].settings."model.depth"'),
        ([{"settings": {"model.width": 8}}] * 2, 'tuned[1].settings."model.width"'),
        ([{"settings": {"model.width": 0}}], "tuned, for the cell (relu, 1).model.width"),
        ([{"where": {"model.activation": "tanh", "model.depth": 2}, "settings": {"model.width": 8}}], "tuned[0]"),
    ],
)
def test_tuned_settings_are_checked(tuned, path):
    """Entries for cells that are not there, settings that are none or varied, and two values for one are refused."""

    def expand():
        suite = suite_with(None, exclude=[{"model.activation": "tanh", "model.depth": 2}], tuned=tuned)
        tuned_runs(suite, expand_cells(suite), [], [0], {"digits": "1.0.0"}, {})

    with pytest.raises(SettingError) as caught:
        expand()
    assert path in [problem.path for problem in caught.value.problems]


WAYS = {
    "random": {"search.strategy": "random"},
    "grid": {"search.strategy": "grid", "search.space": {"train.learning_rate": [0.001, 0.01]}},
}


def test_levels_that_change_the_search():
    """Cells that differ only in how they are tuned are different cells, each tuned in its way with one budget."""
    groups = groups_with(factors={"search": WAYS})
    assert [(group.where, group.table.strategy, group.table.trials, group.space.size) for group in groups] == [
        ({"search": "random"}, "random", 4, None),
        ({"search": "grid"}, "grid", 4, 2),
    ]


@pytest.mark.parametrize(
    ("level", "search", "path"),
    [
        ({"search.trials": 5}, {}, 'factors.search.grid."search.trials"'),
        ({"search.strategy": "grdi"}, {}, "factors.search.grid: search.strategy"),
        ({"search.strategy": "grid"}, {}, 'factors.search.grid: search.space."train.learning_rate"'),
        ({"search.space": {"model.depth": [1, 2]}}, {}, 'factors.search.grid."search.space"."model.depth"'),
        ({"search.strategy": "random"}, None, "factors.search.grid"),
        ({"search.strategy": "random"}, {"per": "suite"}, "search.per"),
    ],
)
def test_levels_that_change_the_search_are_checked(level, search, path):
    """A level cannot change the budget, nor say what the search itself refuses, nor split a group."""
    factors = {"search": {"random": {"search.rounds": 2}, "grid": level}, "model.depth": [1, 2]}
    with pytest.raises(SettingError) as caught:
        groups_with(search, factors=factors)
    assert path in [problem.path for problem in caught.value.problems]
