"""Cautions: what a plan and a report say of comparisons that hang on what the suite does not say."""

import pytest

import zoo
from benchmarks.plan.cautions import cautions
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.sameness import Known
from benchmarks.suite.reading import parse_suite

SUITE = """
name = "study"
datasets = ["digits"]
seeds = 2
model = {{ variant = "mlp_small" }}
train = {{ epochs = 3{more} }}
{tables}
[factors]
"train.optimizer" = [{optimizers}]
"""

SEARCH = """
[search]
strategy = "random"
objective = "val_accuracy"
trials = 3
space = { "train.learning_rate" = [0.1, 0.01] }
"""

ACTIVATIONS = '"model.activation" = ["relu", "tanh"]'


INITIALIZERS = '"model.initializer" = ["he_normal", "lecun_normal"]'


def cautions_of(optimizers='"sgd", "adam"', more="", tables=""):
    suite = parse_suite(SUITE.format(optimizers=optimizers, more=more, tables=tables), "suite.toml")
    return cautions(suite, expand_cells(suite), expand_cells(suite), {})


def test_optimizers_at_rates_of_their_own():
    """Each has the rate of its source, and it is said that nobody tuned it here."""
    (told,) = cautions_of()
    assert "each at the rate of its source (sgd 0.01, adam 0.001), which was not tuned on these data" in told


def test_optimizers_at_one_rate():
    """One rate for all is told beside those of the sources."""
    (told,) = cautions_of(more=", learning_rate = 0.002")
    assert "all at the one rate 0.002, which suits some of them; their sources have sgd 0.01, adam 0.001" in told


@pytest.mark.parametrize(
    "changed",
    [
        {"tables": SEARCH},
        {"tables": '[[tuned]]\nwhere = { "train.optimizer" = "sgd" }\nsettings = { "train.learning_rate" = 0.2 }\n'},
    ],
    ids=["searched", "tuned"],
)
def test_nothing_to_be_said(changed):
    """Where rates are searched or were found, nothing is said."""
    assert cautions_of(**changed) == ()


def test_one_optimizer():
    """Where optimizers are not compared, nothing is said of their rates."""
    suite = parse_suite(
        SUITE.format(optimizers="", more="", tables="").replace('"train.optimizer" = []', ACTIVATIONS), "a"
    )
    assert cautions(suite, expand_cells(suite), expand_cells(suite), {}) == ()


@pytest.mark.parametrize(("other", "is_told"), [("learning_rate", False), ("clip_norm", True)])
def test_rates_that_levels_search(other, is_told):
    """Where levels bring spaces of their own, nothing is said if all of them search the rate."""
    levels = "\n[factors.how]\n"
    levels += 'a = { "search.space" = { "train.learning_rate" = [0.1, 0.01] } }\n'
    levels += f'b = {{ "search.space" = {{ "train.{other}" = [0.2, 0.02] }} }}\n'
    text = SUITE.format(
        optimizers='"momentum", "adam"', more="", tables=SEARCH.replace("learning_rate", "weight_decay")
    )
    suite = parse_suite(text + levels, "suite.toml")
    assert bool(cautions(suite, expand_cells(suite), expand_cells(suite), {})) is is_told


def same_in(factors, more="", tables="", dataset="digits", known=()):
    """What is said of cells that train the same."""
    text = SUITE.format(optimizers="", more=more, tables=tables).replace('"train.optimizer" = []', factors)
    suite = parse_suite(text.replace("digits", dataset), "suite.toml")
    cells = expand_cells(suite)
    return cautions(suite, cells, cells, {dataset: Known(*known)})


@pytest.mark.parametrize(
    ("factors", "known", "settings"),
    [
        ('"train.schedule" = ["constant", "exponential"]', (), None),
        ('"train.schedule" = ["cosine", "warmup_cosine"]', (), None),
        ('"train.loss" = ["by_task", "cross_entropy"]', ("classification",), "train.loss"),
        ('"train.loss" = ["by_task", "cross_entropy"]', (), None),
        ('"data.standardize" = ["per_feature", "per_channel"]', ("classification", True), "data.standardize"),
        ('"data.standardize" = ["per_feature", "per_channel"]', ("classification", False), None),
        ('[factors.rate]\na = { "train.schedule" = "cosine" }\n'
         'b = { "train.schedule" = "warmup_cosine", "train.warmup_fraction" = 0.0 }',
         (), "train.schedule and train.warmup_fraction"),
    ],
    ids=["schedules", "warmup", "loss", "unknown task", "table", "images", "no warmup"],
)  # fmt: skip
def test_trainings_that_are_the_same(factors, known, settings):
    """Settings that come to the same training are told before it; where that is not known, nothing is said."""
    told = same_in(factors, known=known)
    assert len(told) == bool(settings)
    if settings:
        assert told[0].startswith("The cells (")
        assert f"in the same way: {settings} change" in told[0]


def test_initializers_that_are_the_same():
    """A gain that follows the activation takes the place of the factor in which he and lecun differ."""
    text = SUITE.format(optimizers="", more="", tables="").replace('"train.optimizer" = []', INITIALIZERS)
    suite = parse_suite(text, "suite.toml")
    assert cautions(suite, expand_cells(suite), expand_cells(suite), {}) == ()
    suite = parse_suite(text.replace('"mlp_small"', '"mlp_small", initializer_gain = "activation"'), "suite.toml")
    (told,) = cautions(suite, expand_cells(suite), expand_cells(suite), {})
    assert told == (
        "The cells (he_normal) and (lecun_normal) on digits train the same network in the same way: model.initializer "
        "changes nothing here, and a difference between their results is chance."
    )
    models = [zoo.build_model(cell.settings.model, (8, 8, 1), 10, seed=3) for cell in expand_cells(suite)]
    first, second = (model.get_weights() for model in models)
    assert all((one == other).all() for one, other in zip(first, second, strict=True))


def test_many_that_are_the_same():
    """Three groups are told in words, the rest is counted."""
    factors = INITIALIZERS + '\n"model.activation" = ["relu", "tanh", "elu", "gelu", "silu"]'
    text = SUITE.format(optimizers="", more="", tables="").replace('"train.optimizer" = []', factors)
    suite = parse_suite(text.replace('"mlp_small"', '"mlp_small", initializer_gain = "activation"'), "suite.toml")
    told = cautions(suite, expand_cells(suite), expand_cells(suite), {})
    assert (len(told), told[-1]) == (4, "So do the cells of 2 further groups.")
