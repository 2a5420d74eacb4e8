"""How settings are declared, checked and reported: the machinery that every config shares."""

from __future__ import annotations

import pickle
import tomllib
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, model_validator

from zoo.settings import (
    OneOf,
    OneOrMore,
    Problem,
    SettingError,
    Settings,
    as_written,
    dotted,
    found_problems,
    nearest,
    setting,
    unknown,
)

Fruit = Annotated[str, OneOf("fruit", {"apple": 1, "banana": 2, "cherry": 3})]


class Basket(Settings):
    fruit: Fruit = setting("apple", "What lies in it.")
    count: int = setting(1, "How many.", ge=1)
    ripe: bool = setting(False, "Whether they can be eaten.", shapes_program=False)


class Shop(Settings):
    owner: str
    basket: Basket = setting(Basket(), "A basket.")
    sizes: tuple[int, ...] = setting((), "Sizes.")
    prices: dict[str, float] = setting({}, "Prices.")


def problem_of(config: type[Settings], values: dict[str, Any]) -> Problem:
    with pytest.raises(SettingError) as caught:
        config(**values)
    (problem,) = caught.value.problems
    return problem


def test_problem_in_full():
    """A problem reads where, what, given, allowed, nearest, the details in line below one another."""
    problem = Problem("model.activation", "no such activation", "rellu", "tanh, relu", "relu")
    assert str(problem) == (
        "model.activation: no such activation\n  given:   rellu\n  allowed: tanh, relu\n  nearest: relu"
    )


def test_problem_leaves_out_what_it_does_not_know():
    """A problem of the whole has no path, and details that are None take no line; an empty text does."""
    assert str(Problem("", "nothing varies")) == "nothing varies"
    assert str(Problem("", "no such key", given="")).splitlines() == ["no such key", "  given:   "]


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("model", "activation", "model.activation"),
        ("model", "", "model"),
        ("", "activation", "activation"),
        ("", "", ""),
    ],
)
def test_problem_below(prefix, path, expected):
    """Seen from further out, the path is longer, without stray dots, and the rest is the same."""
    problem = Problem(path, "message", "given", "allowed", "nearest")
    assert problem.below(prefix) == Problem(expected, "message", "given", "allowed", "nearest")


def test_error_lists_its_problems():
    """An error is a ValueError that prints each problem, in order, and keeps them for programs."""
    problems = [Problem("a", "first"), Problem("b", "second")]
    error = SettingError(iter(problems))
    assert isinstance(error, ValueError)
    assert error.problems == tuple(problems)
    assert error.source is None
    assert str(error) == "a: first\nb: second"


def test_error_within_and_below():
    """`within` names the file, `below` lengthens every path; each keeps the other's work and the first error."""
    error = SettingError([Problem("a", "first"), Problem("", "second")])
    placed = error.below("model").within("suite.toml").below("base")
    assert str(placed) == "suite.toml:\nbase.model.a: first\nbase.model: second"
    assert placed.source == "suite.toml"
    assert str(error) == "a: first\nsecond"


@pytest.mark.parametrize(
    ("given_name", "expected"), [("aple", "apple"), ("cherries", "cherry"), ("xyz", None), (3, None), ("", None)]
)
def test_nearest(given_name, expected):
    """The closest allowed name is found, and none where nothing is close."""
    assert nearest(given_name, ["apple", "banana", "cherry"]) == expected


def test_nearest_begins_alike():
    """Of names that are equally close, the one with the same beginning."""
    assert nearest("resnet21", ["resnet32", "resnet20", "resnet32"]) == "resnet20"


def test_unknown_names_the_table():
    """The problem of an unknown name lists every allowed name in the table's order, and the nearest."""
    problem = unknown("a.b", "fruit", "chery", {"cherry": 1, "apple": 2})
    assert problem == Problem("a.b", "no such fruit", "chery", "cherry, apple", "cherry")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ((), ""),
        (("train", "learning_rate"), "train.learning_rate"),
        (("factors", "model.activation", 1), 'factors."model.activation"[1]'),
        (("model.activation",), '"model.activation"'),
        (("claims", 0, "left", 2), "claims[0].left[2]"),
        (("a-b", "two words", ""), 'a-b."two words".""'),
        (('say "x"',), r'"say \"x\""'),
    ],
)
def test_dotted(location, expected):
    """A path reads as it would be written in TOML, positions in brackets."""
    assert dotted(location) == expected


ascii_text = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=126), max_size=8)


@given(keys=st.lists(ascii_text, min_size=1, max_size=4))
def test_dotted_is_toml(keys):
    """A TOML reader takes a dotted path apart into the very keys that it was made from."""
    found = tomllib.loads(f"{dotted(keys)} = 1")
    for key in keys:
        assert list(found) == [key]
        found = found[key]
    assert found == 1


@pytest.mark.parametrize(
    ("value", "given_text", "allowed"),
    [
        ({"count": "3"}, '"3"', "a whole number"),
        ({"count": 3.0}, "3.0", "a whole number"),
        ({"count": True}, "true", "a whole number"),
        ({"count": None}, "null", "a whole number"),
        ({"ripe": 1}, "1", "true or false"),
        ({"ripe": "yes"}, '"yes"', "true or false"),
        ({"fruit": 3}, "3", "text in quotes"),
        ({"fruit": ["apple"]}, '["apple"]', "text in quotes"),
    ],
)
def test_wrong_type(value, given_text, allowed):
    """Nothing is converted silently: a value of another type is shown as written, with the type that is allowed."""
    assert problem_of(Basket, value) == Problem(next(iter(value)), "wrong type", given_text, allowed)


@pytest.mark.parametrize(
    ("value", "path", "allowed"),
    [
        ({"basket": 3}, "basket", "a table"),
        ({"basket": {"count": "3"}}, "basket.count", "a whole number"),
        ({"sizes": 3}, "sizes", "a list"),
        ({"sizes": (1, "2")}, "sizes[1]", "a whole number"),
        ({"prices": 3}, "prices", "a table"),
        ({"prices": {"red apple": "3"}}, 'prices."red apple"', "a number"),
    ],
)
def test_wrong_type_further_in(value, path, allowed):
    """The path leads to the value that is wrong, through tables and lists."""
    problem = problem_of(Shop, {"owner": "Ada", **value})
    assert (problem.path, problem.message, problem.allowed) == (path, "wrong type", allowed)


def test_wrong_choice_further_in():
    """A name that stands in no table is reported below the path of its setting, with the nearest name."""
    problem = problem_of(Shop, {"owner": "Ada", "basket": {"fruit": "bananna"}})
    assert problem == Problem("basket.fruit", "no such fruit", "bananna", "apple, banana, cherry", "banana")


def test_unknown_key():
    """A key that no setting has is reported with all keys that there are and the nearest."""
    assert problem_of(Basket, {"coutn": 3}) == Problem("coutn", "no such key", "coutn", "fruit, count, ripe", "count")


def test_unknown_key_further_in():
    """Allowed names of a table further in are those of the config that the table is for."""
    problem = problem_of(Shop, {"owner": "Ada", "basket": {"coutn": 3}})
    assert problem == Problem("basket.coutn", "no such key", "coutn", "fruit, count, ripe", "count")


def test_missing_key():
    """A setting without default that nobody gives is asked for."""
    assert problem_of(Shop, {}) == Problem("owner", "this key is required")


def test_out_of_bounds():
    """A number out of bounds is shown with the bound in words."""
    problem = problem_of(Basket, {"count": 0})
    assert (problem.path, problem.given) == ("count", "0")
    assert problem.message == "input should be greater than or equal to 1"


def test_long_values_are_cut():
    """A value that would fill the screen is cut at 80 characters."""
    problem = problem_of(Basket, {"count": "x" * 500})
    assert problem.given == '"' + "x" * 76 + "..."


def test_all_problems_at_once():
    """Every wrong value is reported in one error, none hidden behind the first."""
    with pytest.raises(SettingError) as caught:
        Basket(fruit="aple", count=0, ripe=1, size=2)
    assert [problem.path for problem in caught.value.problems] == ["fruit", "count", "ripe", "size"]


def test_findings_of_a_validator():
    """What a config's own validator finds arrives as it was found, each below the path of the config."""

    class Fair(Basket):
        @model_validator(mode="after")
        def check(self):
            if self.ripe and self.count > 2:
                raise found_problems(
                    [Problem("count", "too many ripe ones", "3", "1 or 2"), Problem("", "eat some", nearest="today")]
                )
            return self

    class Market(Settings):
        fair: Fair = setting(Fair(), "A fair.")

    with pytest.raises(SettingError) as caught:
        Market(fair={"ripe": True, "count": 3})
    assert caught.value.problems == (
        Problem("fair.count", "too many ripe ones", "3", "1 or 2"),
        Problem("fair", "eat some", nearest="today"),
    )


def test_default_must_be_allowed():
    """A default that the setting's own type refuses stops at the first use, not in a training."""

    class Broken(Settings):
        fruit: Fruit = setting("pear", "What lies in it.")

    with pytest.raises(SettingError, match="no such fruit"):
        Broken()


def test_settings_are_frozen():
    """A config cannot be changed in place, and no attribute can be added."""
    basket = Basket()
    with pytest.raises(ValidationError, match="frozen"):
        basket.count = 3
    with pytest.raises(ValidationError, match="frozen"):
        basket.colour = "red"
    assert basket == Basket()


def test_equal_settings_are_one_key():
    """Configs with equal values are equal and hash alike, so that they can key a table; others differ."""
    assert len({Basket(count=2), Basket(count=2), Basket(count=3)}) == 2


def test_declaration_reaches_the_schema():
    """The JSON Schema tells people and editors the default, the bounds, the choices and the explanation."""
    properties = Basket.model_json_schema()["properties"]
    assert properties["fruit"]["enum"] == ["apple", "banana", "cherry"]
    assert properties["fruit"]["description"] == "What lies in it."
    assert properties["count"]["minimum"] == 1
    assert properties["count"]["default"] == 1
    assert properties["count"]["shapes_program"] is True
    assert properties["ripe"]["shapes_program"] is False


baskets = st.builds(
    Basket,
    fruit=st.sampled_from(["apple", "banana", "cherry"]),
    count=st.integers(1, 5),
    ripe=st.booleans(),
)


@given(basket=baskets)
def test_differences_identify_a_config(basket):
    """The differences from the defaults, made into a config again, give the same config, and hold no default."""
    differences = basket.differing_from_default()
    assert Basket(**differences) == basket
    defaults = Basket().model_dump()
    assert all(defaults[name] != value for name, value in differences.items())


@given(first=baskets, second=baskets)
def test_shaping_program(first, second):
    """Two configs shape one program exactly when they agree in all settings but those declared not to shape it."""
    same = (first.fruit, first.count) == (second.fruit, second.count)
    assert (first.shaping_program() == second.shaping_program()) is same


@given(basket=baskets, count=st.integers(1, 5))
def test_changed(basket, count):
    """A changed copy has the new value, keeps the others and leaves the original alone."""
    before = basket.model_dump()
    changed = basket.changed(count=count)
    assert changed.model_dump() == before | {"count": count}
    assert basket.model_dump() == before


@pytest.mark.parametrize("values", [{"count": 0}, {"fruit": "pear"}, {"size": 2}, {"ripe": "yes"}])
def test_changed_checks_again(values):
    """A changed copy is checked as at construction."""
    with pytest.raises(SettingError):
        Basket().changed(**values)


class Shelf(Settings):
    rows: Annotated[Any, OneOrMore("shelves", 9)] = setting(2, "Rows.")
    kind: Fruit = setting("apple", "What lies on it.")
    pips: int = setting(3, "Pips.", only_with={"kind": ("apple", "cherry")})
    peel: bool = setting(True, "Whether it is peeled.", not_with={"kind": "cherry"})


@pytest.mark.parametrize(
    ("given_value", "expected"), [(1, 1), (9, 9), ([3], (3,)), ((1, 9, 2), (1, 9, 2)), ([4, 4], (4, 4))]
)
def test_one_or_more(given_value, expected):
    """One number stays one, a list becomes a tuple, so that the config can be a key."""
    shelf = Shelf(rows=given_value)
    assert shelf.rows == expected
    assert type(shelf.rows) is type(expected)
    assert hash(shelf) == hash(Shelf(rows=expected))


@pytest.mark.parametrize(
    ("value", "given_text"),
    [
        (0, "0"),
        (10, "10"),
        (-1, "-1"),
        (2.0, "2.0"),
        (True, "true"),
        ("3", '"3"'),
        (None, "null"),
        ([], "[]"),
        ([1, 0], "[1, 0]"),
        ([1, 10], "[1, 10]"),
        ([1, True], "[1, true]"),
        ([[1]], "[[1]]"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_one_or_more_refuses(value, given_text):
    """No number out of bounds, of another type or in a list further in is taken, and no empty list."""
    allowed = "a whole number from 1 to 9, or a list of them, one for each of the shelves"
    assert problem_of(Shelf, {"rows": value}) == Problem("rows", "wrong value", given_text, allowed)


def test_one_or_more_in_the_schema():
    """The JSON Schema takes a number in the bounds or a list of such that is not empty."""
    number = {"type": "integer", "minimum": 1, "maximum": 9}
    rows = Shelf.model_json_schema()["properties"]["rows"]
    assert rows["anyOf"] == [number, {"type": "array", "items": number, "minItems": 1}]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"kind": "banana", "pips": 4},
            Problem("pips", 'no effect with kind = "banana"', "4", 'only with kind = "apple" or "cherry"'),
        ),
        (
            {"kind": "cherry", "peel": False},
            Problem("peel", 'no effect with kind = "cherry"', "false", 'only with another kind than "cherry"'),
        ),
    ],
)
def test_settings_without_effect(values, problem):
    """What another setting makes ineffective is refused, with what would mend it."""
    assert problem_of(Shelf, values) == problem


@pytest.mark.parametrize(
    "values", [{"kind": "banana"}, {"kind": "banana", "pips": 3}, {"kind": "cherry", "pips": 4}, {"peel": False}]
)
def test_settings_with_effect(values):
    """A setting is taken where it has an effect, and at its default everywhere."""
    assert Shelf(**values).model_dump() == Shelf().model_dump() | values


def test_settings_without_effect_after_a_change():
    """A change of one setting that leaves another without effect is refused."""
    with pytest.raises(SettingError, match='pips: no effect with kind = "banana"'):
        Shelf(pips=4).changed(kind="banana")


def test_minus_zero_is_zero():
    """-0.0 equals 0.0 and is written alike, since a run is known by what is written."""

    class Scale(Settings):
        weight: float = setting(1.0, "Weight.")

    assert str(Scale(weight=-0.0).weight) == "0.0"
    assert Scale(weight=-2.5).weight == -2.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1"),
        (True, "true"),
        (None, "null"),
        ("é", '"é"'),
        ((1, 2), "[1, 2]"),
        pytest.param(10**5000, "a int", id="long"),
        ({1}, "{1}"),
    ],
)
def test_as_written(value, expected):
    """Values read as in a file; what no file holds, as Python has it."""
    assert as_written(value) == expected


def test_errors_go_to_other_processes():
    """A pickled error is the same error: text, problems and source."""
    error = SettingError([Problem("depth", "wrong", "3", "2"), Problem("", "odd")], "suite.toml")
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.problems, back.source) == (str(error), error.problems, error.source)
