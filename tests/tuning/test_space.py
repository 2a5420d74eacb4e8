"""Search spaces: how they are read, refused, counted, enumerated, sampled, narrowed and handed to Keras Tuner."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tuning import SearchConfig, TuningError, parse_space

ISSUE_TOML = """
"train.learning_rate" = { log = [1e-4, 1e-1] }
"train.weight_decay" = { log = [1e-6, 1e-2], or = 0 }
"model.dropout" = { linear = [0.0, 0.6], step = 0.1 }
"train.optimizer" = ["momentum", "adam"]
"train.momentum" = { linear = [0.8, 0.99], when = { "train.optimizer" = "momentum" } }
"""


def written(space):
    """Give a space in one text, in the form of a suite."""
    return json.dumps(space.written(), sort_keys=True)


def problems_of(table):
    with pytest.raises(TuningError) as caught:
        parse_space(table)
    return caught.value.problems


def test_the_form_of_the_issue_is_read_as_it_stands(issue_space):
    """TOML gives the same space as Python's tables, whatever order it was written in."""
    table = tomllib.loads(ISSUE_TOML)
    assert parse_space(table) == issue_space
    backwards = dict(reversed(table.items()))
    assert written(parse_space(backwards)) == written(issue_space)
    assert list(parse_space(backwards).parameters) == list(issue_space.parameters)


def test_numbers_of_numpy_are_those_of_python():
    """A space that is computed is the one that is written, and so are its points."""
    computed = parse_space(
        {
            "rate": {"log": np.array([1e-4, 1e-1])},
            "width": {"linear": (np.int64(8), np.int32(64)), "step": np.int64(8)},
            "flag": [np.bool_(True), False],
            "dropout": {"choices": np.linspace(0, 0.5, 3), "when": {"width": np.int64(16)}},
        }
    )
    expected = parse_space(
        {
            "rate": {"log": [1e-4, 1e-1]},
            "width": {"linear": [8, 64], "step": 8},
            "flag": [True, False],
            "dropout": {"choices": [0.0, 0.25, 0.5], "when": {"width": 16}},
        }
    )
    assert computed == expected
    assert written(computed) == written(expected)
    assert expected.has({"rate": np.float64(0.01), "width": np.int64(16), "flag": np.bool_(True), "dropout": 0.25})
    assert SearchConfig("random", np.int64(3), "x", "max", np.int32(7)) == SearchConfig("random", 3, "x", "max", 7)


def test_reading_a_space_needs_neither_keras_nor_tensorflow():
    """Suites are checked in a fraction of a second: spaces, configurations and even whole plans of Hyperband."""
    code = (
        "import sys, tuning; space = tuning.parse_space({'a': {'log': [1e-4, 1e-1]}}); "
        "tuning.Search(space, tuning.SearchConfig('hyperband', 20, 'val_loss', 'min', max_epochs=30)); "
        "print(sorted({'keras', 'keras_tuner', 'tensorflow', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("table", "path", "message"),
    [
        ({}, "", "an empty search space"),
        ({"a": []}, "a", "no choices"),
        ({"a": {"choices": "relu"}}, "a", "choices that are no list"),
        ({"a": [{"b": 1}]}, "a", "wrong type of choice"),
        ({"a": [1.0, math.nan]}, "a", "wrong type of choice"),
        ({"a.b": {"log": [0.1, 0.01]}}, '"a.b".log', "a range upside down"),
        ({"a": {"linear": [0.5, 0.5]}}, "a.linear", "an empty range"),
        ({"a": {"linear": [0.0, math.inf]}}, "a.linear", "no range"),
        ({"a": {"linear": [0, 1, 2]}}, "a.linear", "no range"),
        ({"a": {"linear": [1, 10**400]}}, "a.linear", "no range"),
        ({"a": {"linear": [-1e308, 1e308]}}, "a.linear", "a range too wide for its width to be a number"),
        ({"a": {"linear": [False, True]}}, "a.linear", "no range"),
        ({"a": {"log": [0, 0.1]}}, "a.log", "a log range from zero or below"),
        ({"a": {"log": [-1.0, 0.1]}}, "a.log", "a log range from zero or below"),
        ({"a": {"linear": [0.0, 0.6], "step": 0.25}}, "a.step", "a step that does not fit the range"),
        ({"a": {"linear": [0, 10], "step": 3}}, "a.step", "a step that does not fit the range"),
        ({"a": {"log": [1e-4, 1e-1], "step": 5}}, "a.step", "a step that does not fit the range"),
        ({"a": {"linear": [0.0, 0.6], "step": 0}}, "a.step", "no step"),
        ({"a": {"log": [1, 8], "step": 1}}, "a.step", "no step"),
        ({"a": {"linear": [0.0, 1.0], "step": 1e-6}}, "a.step", "a step so small that there are more than 10,000"),
        ({"a": {"linear": [1e-3, 1e30], "step": 1e-3}}, "a.step", "a step so small that there are more than 10,000"),
        ({"a": {"log": [1e-300, 1e300], "step": 11}}, "a.step", "a step that does not fit the range"),
        ({"a": {"log": [1e-4, 1e-1], "or": 0.01}}, "a.or", "a value that the range has already"),
        ({"a": {"log": [1e-4, 1e-1], "or": {}}}, "a.or", "wrong type"),
        ({"a": 3}, "a", "no range and no choices"),
        ({"a": {"linear": [0, 1], "log": [1, 2]}}, "a", "no range and no choices"),
        ({"a": ["relu", "relu"]}, "a", "the same choice twice"),
        ({"a": [1, 1.0]}, "a", "the same choice twice"),
        ({"a": [[64], [64]]}, "a", "the same choice twice"),
        ({"a": {"choices": [1, 2], "when": "b"}}, "a.when", "wrong type"),
        ({"a": {"choices": [1, 2], "when": {"b": []}}, "b": [1, 2]}, "a.when.b", "no value"),
        ({"a": {"choices": [1, 2], "when": {"b": date(2026, 1, 1)}}, "b": [1, 2]}, "a.when.b", "wrong type"),
        ({"a": {"choices": [1, 2], "when": {"b": 10**400}}, "b": [1, 2.5]}, "a.when.b", "wrong type"),
        ({"a": {"choices": [1, 2], "when": {"b": True}}, "b": [1, 2.5]}, "a.when.b", "a value that b cannot have"),
        ({"a": {"choices": [1, 2], "when": {"b": [1, 1]}}, "b": [1, 2]}, "a.when.b", "the same value twice"),
        ({"a": {"choices": [1, 2], "when": {"a": 1}}}, "a.when.a", "no such other parameter"),
        ({"a": {"choices": [1, 2], "when": {"b": 3}}, "b": [1, 2]}, "a.when.b", "a value that b cannot have"),
        ({"a": {"choices": [1, 2], "when": {"b": True}}, "b": [1, 2]}, "a.when.b", "a value that b cannot have"),
        (
            {"a": {"choices": [1, 2], "when": {"b": 0.35}}, "b": {"linear": [0.0, 0.6], "step": 0.1}},
            "a.when.b",
            "a value that b cannot have",
        ),
        (
            {"a": {"choices": [1, 2], "when": {"b": 0.5}}, "b": {"linear": [0.0, 0.6]}},
            "a.when.b",
            "a single value of a continuous range, which b has by chance only",
        ),
        (
            {"a": {"choices": [1, 2], "when": {"b": [0, 3]}}, "b": {"linear": [1, 5], "or": 0}},
            "a.when.b",
            "the alternative mixed with values of the range",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_path(table, path, message):
    """Each mistake is found when the space is read, and told where it stands."""
    [problem] = problems_of(table)
    assert (problem.path, problem.message) == (path, message)


def test_unknown_names_are_told_with_the_nearest():
    """A key or a parameter that does not exist is named with what it was probably meant to be."""
    [key] = problems_of({"a": {"linear": [0.0, 1.0], "stepp": 0.1}})
    assert (key.path, key.nearest) == ("a.stepp", "step")
    [kind] = problems_of({"a": {"linaer": [0.0, 1.0]}})
    assert (kind.path, kind.nearest) == ("a.linaer", "linear")
    [of_choices] = problems_of({"a": {"choices": [1, 2], "step": 1}})
    assert (of_choices.path, of_choices.allowed) == ("a.step", "choices, when")
    table = {"train.optimizer": ["adam", "sgd"], "b": {"choices": [1, 2], "when": {"train.optimiser": "adam"}}}
    [parameter] = problems_of(table)
    assert (parameter.path, parameter.nearest) == ('b.when."train.optimiser"', "train.optimizer")
    assert "nearest: train.optimizer" in str(parameter)


def test_all_problems_are_told_at_once():
    """Whoever mends a suite is told of every mistake, not of the first."""
    assert [each.path for each in problems_of({"a": [], "b": {"log": [0, 1]}, "c": {"linear": [2, 1]}})] == [
        "a",
        "b.log",
        "c.linear",
    ]


def test_conditions_in_a_circle_are_refused():
    """Where a depends on b and b on c and c on a, none can be decided first."""
    ring = {"a": "b", "b": "c", "c": "a"}
    table = {path: {"choices": [1, 2], "when": {other: 1}} for path, other in ring.items()}
    [problem] = problems_of(table | {"d": [1, 2]})
    assert problem.message.startswith("conditions in a circle")
    assert problem.given == "a and b and c"


def test_conditions_that_exclude_each_other_are_refused():
    """A parameter that has no value anywhere would be accepted and ignored."""
    table = {
        "a": [1, 2],
        "b": {"choices": [1, 2], "when": {"a": 1}},
        "c": {"choices": [1, 2], "when": {"a": 2, "b": 1}},
    }
    [problem] = problems_of(table)
    assert (problem.path, problem.message) == ("c.when", "conditions that are never met together")


def test_points_are_those_that_loops_would_visit(finite_space):
    """The enumeration of a space with chains of conditions equals nested loops written by hand."""
    dropouts = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, "none"]
    expected = []
    for dropout in dropouts:
        expected.append({"model.activation": "gelu", "model.dropout": dropout})
        for clip in (True, False):
            point = {"model.activation": "relu", "model.dropout": dropout, "train.clip": clip}
            norms = [1, 2, 4, 8] if clip and dropout in (0.3, "none") else [None]
            expected += [point | ({} if norm is None else {"train.norm": norm}) for norm in norms]
    points = list(finite_space.points())
    texts = sorted(json.dumps(point, sort_keys=True) for point in points)
    assert texts == sorted(json.dumps(point, sort_keys=True) for point in expected)
    assert finite_space.size == len(expected) == 30


def test_many_conditions_that_have_nothing_to_do_with_each_other_take_no_time():
    """Forty parameters with a parameter each that depends on them have 4^40 points: (1, x), (1, y), 2 and 3 of each."""
    table = {}
    for index in range(40):
        table[f"a{index}"] = [1, 2, 3]
        table[f"b{index}"] = {"choices": ["x", "y"], "when": {f"a{index}": 1}}
    assert parse_space(table).size == 4**40


def test_whole_numbers_in_conditions_are_taken_for_the_fractions_that_they_mean():
    """`or = 0` beside fractions is 0.0, and so is the 0 of a condition on it; 1 and 1.0 are one value of [1, 2.5]."""
    table = {
        "a": {"log": [1e-6, 1e-2], "or": 0},
        "b": {"choices": ["x", "y"], "when": {"a": 0}},
        "c": [1, 2.5],
        "d": {"choices": ["x", "y"], "when": {"c": [1, 1.0]}},
        "e": [1, "none"],
        "f": {"choices": ["x", "y"], "when": {"e": 1}},
    }
    space = parse_space(table)
    assert space.has({"a": 0.0, "b": "x", "c": 1.0, "d": "y", "e": 1, "f": "x"})
    assert space.has({"a": 1e-3, "c": 2.5, "e": "none"})
    assert parse_space(space.written()) == space


def test_decimal_steps_have_no_digits_of_their_own():
    """Three steps of 0.1 are 0.3 and two half decades one, as a run that is keyed by 0.3 needs; the ends are there."""
    half, others = math.sqrt(10), {"log": [1e-300, 1e300], "step": 1e100}
    table = {"a": {"linear": [0.0, 0.6], "step": 0.1}, "b": {"log": [1e-4, 1e-1], "step": 10}, "d": others}
    space = parse_space(table | {"c": {"log": [1e-4, 1e-1], "step": half}})
    values = {path: list(parameter.values) for path, parameter in space.parameters.items()}
    assert values["a"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert values["b"] == values["c"][::2] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert values["c"][1::2] == pytest.approx([1e-4 * half, 1e-3 * half, 1e-2 * half], rel=1e-11)
    assert values["d"] == [1e-300, 1e-200, 1e-100, 1.0, 1e100, 1e200, 1e300]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ({"linear": [1, 4]}, [1, 2, 3, 4]),
        ({"linear": [-1, 1]}, [-1, 0, 1]),
        ({"linear": [1, 10], "step": 3}, [1, 4, 7, 10]),
        ({"linear": [2, 4], "step": 2, "or": 0}, [2, 4, 0]),
        ({"linear": [1, 4.0], "step": 1}, [1.0, 2.0, 3.0, 4.0]),
        ({"linear": [0.0, 0.6], "step": 0.2}, [0.0, 0.2, 0.4, 0.6]),
        ({"log": [16, 128], "step": 2}, [16, 32, 64, 128]),
    ],
)
def test_both_ends_of_a_range_belong_to_it(written, values):
    """A range of whole numbers has them all, one of steps every step from end to end, all drawn equally often."""
    space = parse_space({"a": written})
    listed = [point["a"] for point in space.points()]
    assert [(type(value), value) for value in listed] == [(type(value), value) for value in values]
    generator = np.random.default_rng(5)
    counts = Counter(space.sample(generator)["a"] for _ in range(4_000))
    assert stats.chisquare([counts[value] for value in values]).pvalue > 1e-4
    assert set(counts) == set(values)


@pytest.mark.parametrize("step", [2, 4, 9.5])
def test_a_step_that_misses_the_high_end_is_refused(step):
    """[1, 10] in steps of 2 would end at 9: no range is cut short in silence."""
    with pytest.raises(TuningError) as caught:
        parse_space({"a": {"linear": [1, 10], "step": step}})
    assert [problem.path for problem in caught.value.problems] == ["a.step"]


def test_whole_numbers_stay_whole_and_others_fractions():
    """Both ends of a range decide together, and a list with a fraction holds fractions only."""
    space = parse_space(
        {"a": {"linear": [1, 3]}, "b": {"linear": [1, 2.0], "step": 1}, "c": [1, 2.5], "d": [1, "none"]}
    )
    points = list(space.points())
    for name, kinds in (("a", {int}), ("b", {float}), ("c", {float}), ("d", {int, str})):
        assert {type(point[name]) for point in points} == kinds, name
    assert space.size == 3 * 2 * 2 * 2


def test_a_continuous_space_has_no_size_and_no_list_of_points(issue_space):
    """It is said which parameters make it infinite."""
    assert issue_space.size is None
    with pytest.raises(TuningError, match=r"train.*infinitely many values"):
        list(issue_space.points())
    assert set(issue_space.continuous) == {"train.learning_rate", "train.momentum", "train.weight_decay"}


def test_the_written_form_tells_spaces_apart():
    """Any change of what is searched changes what a search is known by."""
    tables = [
        {"a": {"linear": [0.0, 1.0]}},
        {"a": {"linear": [0, 1]}},
        {"a": {"linear": [0.0, 2.0]}},
        {"a": {"linear": [0.0, 1.0], "step": 0.5}},
        {"a": {"linear": [0.0, 1.0], "or": 2.0}},
        {"a": {"log": [0.5, 1.0]}},
        {"a": [0.0, 1.0]},
        {"a": [1.0, 0.0]},
        {"b": {"linear": [0.0, 1.0]}},
        {"a": {"linear": [0.0, 1.0]}, "b": [1, 2]},
        {"a": {"linear": [0.0, 1.0], "when": {"b": 1}}, "b": [1, 2]},
    ]
    assert len({written(parse_space(table)) for table in tables}) == len(tables)


def test_samples_follow_the_declared_distributions():
    """Log ranges are uniform in logarithms, choices equally likely, an alternative is half of a continuous range."""
    table = {"a": {"log": [1e-4, 1e-1], "or": 0}, "b": {"linear": [2.0, 4.0]}, "c": {"linear": [1, 4]}, "d": ["x", "y"]}
    space = parse_space(table)
    generator = np.random.default_rng(5)
    points = [space.sample(generator) for _ in range(4000)]
    positive = [math.log10(point["a"]) for point in points if point["a"]]
    assert stats.binomtest(len(positive), 4000, 0.5).pvalue > 1e-3
    assert stats.kstest(positive, stats.uniform(-4, 3).cdf).pvalue > 1e-3
    assert stats.kstest([point["b"] for point in points], stats.uniform(2, 2).cdf).pvalue > 1e-3
    for name, values in (("c", [1, 2, 3, 4]), ("d", ["x", "y"])):
        counts = [sum(point[name] == value for point in points) for value in values]
        assert sum(counts) == 4000
        assert stats.chisquare(counts).pvalue > 1e-3, name


def test_narrowing_is_by_the_factor_in_the_scale_of_the_range(issue_space):
    """A third of a range is a third of its width, on a log range of its decades; the rest follows from the rules."""
    around = {
        "train.learning_rate": 1e-3,
        "train.weight_decay": 0.0,
        "model.dropout": 0.3,
        "train.optimizer": "momentum",
        "train.momentum": 0.98,
    }
    narrow = issue_space.narrowed(around, 3).written()
    assert narrow["train.learning_rate"]["log"] == pytest.approx([10**-3.5, 10**-2.5])
    assert narrow["train.momentum"]["linear"] == pytest.approx([0.98 - 0.19 / 6, 0.99])
    assert narrow["model.dropout"] == {"linear": [0.2, 0.4], "step": 0.1}
    assert narrow["train.weight_decay"] == {"log": [1e-6, 1e-2], "or": 0.0}
    assert narrow["train.optimizer"] == ["momentum", "adam"]
    again = issue_space.narrowed({**around, "train.weight_decay": 1e-4}, 2).written()
    assert again["train.weight_decay"] == {"log": pytest.approx([1e-5, 1e-3]), "or": 0.0}


def test_narrowing_keeps_what_others_depend_on_and_the_neighbours():
    """A condition stays possible, and the next round can still move by one step."""
    table = {
        "a": {"linear": [1, 9]},
        "b": {"choices": [1, 2], "when": {"a": 9}},
        "c": {"linear": [0, 100]},
        "d": {"log": [1, 16], "step": 2},
    }
    narrow = parse_space(table).narrowed({"a": 1, "c": 0, "d": 4}, 1000).written()
    assert narrow["a"] == {"linear": [1, 9]}
    assert narrow["c"] == {"linear": [0, 1]}
    assert narrow["d"] == {"log": [2, 8], "step": 2}


@pytest.mark.parametrize(
    ("around", "by", "path"),
    [({"a": 2.0}, 2, "around"), ({}, 2, "around"), ({"a": 0.5, "b": 1}, 2, "around"), ({"a": 0.5}, 1, "by")],
)
def test_narrowing_around_what_is_no_point_is_refused(around, by, path):
    """A value outside, a missing one, an unknown one, and a factor that does not narrow."""
    with pytest.raises(TuningError) as caught:
        parse_space({"a": {"linear": [0.0, 1.0]}}).narrowed(around, by)
    assert caught.value.problems[0].path == path


whole = st.integers(-50, 50)
values_of_choices = st.lists(
    st.one_of(st.text(max_size=3), st.integers(-5, 5), st.booleans(), st.lists(st.integers(0, 9), max_size=2)),
    min_size=2,
    max_size=4,
    unique_by=repr,
)


@st.composite
def ranges(draw):
    kind = draw(st.sampled_from(["whole", "steps", "fractions", "log", "log whole", "log steps", "log roots"]))
    if kind == "whole":
        low = draw(whole)
        table = {"linear": [low, low + draw(st.integers(1, 9))]}
    elif kind == "steps":
        low, step = draw(whole) / 10, draw(st.sampled_from([0.1, 0.25, 0.005]))
        table = {"linear": [low, round(low + step * draw(st.integers(1, 9)), 6)], "step": step}
    elif kind == "fractions":
        low = draw(st.floats(-1e3, 1e3))
        table = {"linear": [low, low + draw(st.floats(1e-3, 1e3))]}
    elif kind == "log":
        low = 10 ** draw(st.floats(-8, 2))
        table = {"log": [low, low * draw(st.floats(1.1, 1e6))]}
    elif kind == "log whole":
        low = draw(st.integers(1, 20))
        table = {"log": [low, low + draw(st.integers(1, 500))]}
    elif kind == "log steps":
        low, factor = draw(st.integers(1, 9)), draw(st.integers(2, 4))
        table = {"log": [low, low * factor ** draw(st.integers(1, 4))], "step": factor}
    else:  # half decades and the like
        exponent, decades, steps = draw(st.integers(-6, 0)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
        table = {"log": [10.0**exponent, 10.0 ** (exponent + decades)], "step": 10 ** (decades / steps)}
    return table | draw(st.sampled_from([{}, {}, {"or": "none"}, {"or": -10_000}]))


@st.composite
def spaces(draw):
    table = {f"choice.{index}": draw(values_of_choices) for index in range(draw(st.integers(1, 2)))}
    for index in range(draw(st.integers(0, 3))):
        written = draw(ranges())
        parent = draw(st.sampled_from([None, *(path for path in table if path.startswith("choice"))]))
        if parent is not None:
            values = table[parent] if isinstance(table[parent], list) else table[parent]["choices"]
            written["when"] = {parent: [draw(st.sampled_from(values))]}
        table[f"range.{index}"] = written
    if draw(st.booleans()):
        table["chained"] = {"choices": draw(values_of_choices), "when": {"choice.0": [table["choice.0"][0]]}}
        table["last"] = {"linear": [0, 3], "when": {"chained": [table["chained"]["choices"][-1]]}}
    return table


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_samples_are_points_and_forms_go_there_and_back(table, seed):
    """Whatever the space: samples lie in it, JSON gives it again, and Keras Tuner's values stand for the same point."""
    space = parse_space(table)
    assert parse_space(json.loads(written(space))) == space
    generator = np.random.default_rng(seed)
    for _ in range(5):
        point = space.sample(generator)
        assert space.has(point), point
        assert json.loads(json.dumps(point)) == point
        assert space.point_from(space.values_from(point)) == point
    if space.size is not None and space.size <= 200:
        points = list(space.points())
        assert len(points) == space.size
        assert len({json.dumps(each, sort_keys=True) for each in points}) == space.size
        assert all(map(space.has, points))


@given(spaces(), st.integers(0, 2**32 - 1), st.floats(1.01, 20))
@settings(max_examples=60)
def test_narrowing_stays_inside_and_holds_its_middle(table, seed, by):
    """A narrowed space is a part of the old one with the point in it, and can be written, read and narrowed on."""
    space = parse_space(table)
    generator = np.random.default_rng(seed)
    around = space.sample(generator)
    narrow = space.narrowed(around, by)
    assert narrow.has(around), around
    assert parse_space(narrow.written()) == narrow
    assert all(space.has(narrow.sample(generator)) for _ in range(5))
    assert narrow.narrowed(around, by).has(around)


@given(spaces(), st.integers(0, 2**31))
@settings(max_examples=25)
def test_keras_tuner_draws_points_of_the_space(table, seed):
    """The space as Keras Tuner has it, with its own sampling and conditions, gives points and nothing else."""
    import keras_tuner

    space = parse_space(table)
    known = space.to_keras_tuner()
    drawn = keras_tuner.HyperParameters()
    for index, each in enumerate(known.space):
        drawn.merge([each])
        if drawn.is_active(each):
            drawn.values[each.name] = each.random_sample(seed + index)
    point = space.point_from(drawn.values)
    assert space.has(point), point
    assert set(space.values_from(point)) == set(drawn.values)


def test_keras_tuner_has_every_value_of_a_finite_space(finite_space):
    """Keras Tuner's own combinations of what it is told give each point once."""
    known = finite_space.to_keras_tuner(by_value=True)
    names = {each.name: list(each.values) for each in known.space}
    points = set()
    for combination in itertools.product(*names.values()):
        points.add(json.dumps(finite_space.point_from(dict(zip(names, combination, strict=True))), sort_keys=True))
    assert points == {json.dumps(point, sort_keys=True) for point in finite_space.points()}


def test_rounding_at_the_end_of_a_range_is_mended():
    """Keras Tuner gives 17 for the upper end of a log range of whole numbers up to 16, and 0.1 plus a bit."""
    space = parse_space({"a": {"log": [1, 16]}, "b": {"log": [1e-4, 1e-1]}})
    known = {each.name: each for each in space.to_keras_tuner().space}
    assert known["a"].prob_to_value(1.0) == 17
    assert space.point_from({"a": 17, "b": 0.1 + 1e-12}) == {"a": 16, "b": 0.1}
