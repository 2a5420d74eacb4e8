"""Cautions: what a plan and a report say of comparisons that hang on what the suite does not say."""

import pytest

from benchmarks.plan.cautions import cautions
from benchmarks.plan.expansion import expand_cells
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


def cautions_of(optimizers='"sgd", "adam"', more="", tables=""):
    suite = parse_suite(SUITE.format(optimizers=optimizers, more=more, tables=tables), "suite.toml")
    return cautions(suite, expand_cells(suite))


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
    assert cautions(suite, expand_cells(suite)) == ()


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
    assert bool(cautions(suite, expand_cells(suite))) is is_told
