"""The identity of a run: which settings share a key, which share a program."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from benchmarks import training
from benchmarks.data.config import DataConfig
from benchmarks.settings import run_key, setting_paths, settings_from
from benchmarks.training.config import TrainConfig
from zoo.settings import SettingError

# A value other than the default for each setting, and whether it shapes the computation that is compiled.
OTHER = {
    "model.activation": ("tanh", True),
    "model.initializer": ("glorot_uniform", False),
    "model.normalization": ("batch", True),
    "model.normalization_place": ("after_activation", True),
    "model.dropout": (0.25, True),
    "model.skip_connections": (True, True),
    "model.depth": (3, True),
    "model.width": (65, True),
    "train.epochs": (31, True),
    "train.batch_size": (65, True),
    "train.optimizer": ("sgd", True),
    "train.learning_rate": (0.01, False),
    "data.standardize": ("min_max", False),
    "data.validation_fraction": (0.2, True),
}


def key_of(settings, dataset="digits", version="1.0.0", seed=0):
    return run_key(settings, dataset, version, seed)


def problems_of(changes):
    with pytest.raises(SettingError) as caught:
        settings_from(changes)
    return caught.value.problems


def test_every_setting_is_in_the_table_above():
    """A setting that is added without a row in `OTHER` fails here, so that none goes untested below."""
    assert set(OTHER) == set(setting_paths()) - {"model.variant"}


@pytest.mark.parametrize("path", OTHER)
def test_every_setting_changes_the_key(settings_of, path):
    """Runs that differ in any one setting are different runs."""
    assert key_of(settings_of({path: OTHER[path][0]})) != key_of(settings_of())


@pytest.mark.parametrize("path", OTHER)
def test_what_shapes_the_program(settings_of, path):
    """A setting that shapes the computation needs a program of its own; one that is only fed in shares it."""
    value, shapes_program = OTHER[path]
    assert (settings_of({path: value}).program() != settings_of().program()) == shapes_program


def test_family_shapes_program_and_key(settings_of):
    """Two families never share a key or a program, also where all their settings have the same values."""
    common = {
        "model.depth": 8,
        "model.width": 16,
        "model.normalization": "batch",
        "model.dropout": 0.0,
        "model.skip_connections": True,
    }
    perceptron = settings_of(common)
    residual = settings_of(common | {"model.variant": "resnet8"})
    assert perceptron.model.model_dump() == residual.model.model_dump()
    assert key_of(perceptron) != key_of(residual)
    assert perceptron.program() != residual.program()


def test_dataset_version_and_seed_change_the_key(settings_of):
    """The same settings on other data, other data of the same name, or with another seed are another run."""
    settings = settings_of()
    keys = {
        key_of(settings),
        key_of(settings, dataset="mnist"),
        key_of(settings, version="1.0.1"),
        key_of(settings, seed=1),
    }
    assert len(keys) == 4


@pytest.mark.parametrize("module", [zoo, training])
def test_revision_changes_the_key(settings_of, monkeypatch, module):
    """When the code comes to mean something else, stored results are not taken for new ones."""
    before = key_of(settings_of())
    monkeypatch.setattr(module, "REVISION", module.REVISION + 1)
    assert key_of(settings_of()) != before


def test_revisions_are_not_interchangeable(settings_of, monkeypatch):
    """A newer zoo with an older training differs from an older zoo with a newer training."""
    monkeypatch.setattr(zoo, "REVISION", 98)
    monkeypatch.setattr(training, "REVISION", 99)
    before = key_of(settings_of())
    monkeypatch.setattr(zoo, "REVISION", 99)
    monkeypatch.setattr(training, "REVISION", 98)
    assert key_of(settings_of()) != before


@given(order=st.permutations(sorted(OTHER)))
def test_order_of_settings_does_not_matter(order):
    """Settings given in any order make the same run and the same program."""
    values = {"model.variant": "mlp_small"} | {path: OTHER[path][0] for path in OTHER}
    shuffled = settings_from({path: values[path] for path in ["model.variant", *order]})
    straight = settings_from(values)
    assert key_of(shuffled) == key_of(straight)
    assert shuffled.program() == straight.program()


@pytest.mark.parametrize(
    ("path", "one", "same"),
    [
        ("train.learning_rate", 1, 1.0),
        ("train.learning_rate", 1e-3, 0.001),
        ("model.dropout", 0, 0.0),
        ("model.dropout", 0.0, -0.0),
        ("data.validation_fraction", 0, 0.0),
        ("data.validation_fraction", 0.0, -0.0),
    ],
)
def test_one_number_written_in_two_ways_is_one_run(settings_of, path, one, same):
    """A number is its value, not its spelling: equal settings have equal keys and share a program."""
    first, second = settings_of({path: one}), settings_of({path: same})
    assert first == second
    assert key_of(first) == key_of(second)
    assert first.program() == second.program()


@pytest.mark.parametrize("path", OTHER)
def test_default_written_out_is_the_default(settings_of, path):
    """Saying what is the default anyway makes the same run."""
    default = settings_of().flat()[path]
    assert key_of(settings_of({path: default})) == key_of(settings_of())


@pytest.mark.parametrize("variant", zoo.VARIANTS)
def test_variant_is_a_name_for_its_settings(variant):
    """A variant and another variant of its family with the same settings spelt out are the same run."""
    named = settings_from({"model.variant": variant})
    for other in zoo.VARIANTS:
        if zoo.VARIANTS[other].config.family == zoo.VARIANTS[variant].config.family:
            values = named.model.model_dump()
            spelt_out = settings_from(
                {"model.variant": other} | {f"model.{name}": value for name, value in values.items()}
            )
            assert key_of(spelt_out) == key_of(named)


def test_variants_differ():
    """No two variants are the same run."""
    assert len({key_of(settings_from({"model.variant": variant})) for variant in zoo.VARIANTS}) == len(zoo.VARIANTS)


def test_key_is_the_hash_of_what_differs_from_the_defaults(settings_of, monkeypatch):
    """A key is 32 hexadecimal digits of the SHA-256 of this text: stores outlive versions of the code."""
    monkeypatch.setattr(zoo, "REVISION", 3)
    monkeypatch.setattr(training, "REVISION", 4)
    settings = settings_of({"model.activation": "tanh", "train.learning_rate": 1, "train.epochs": 30})
    text = (
        '{"data":{},"dataset":"glue/cola","dataset_version":"2.0.0","family":"mlp","model":{"activation":"tanh"},'
        '"seed":7,"train":{"learning_rate":1.0},"training_revision":4,"zoo_revision":3}'
    )
    assert run_key(settings, "glue/cola", "2.0.0", 7) == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        (TrainConfig, {"epochs": 30, "batch_size": 64, "optimizer": "adam", "learning_rate": 0.001}),
        (DataConfig, {"standardize": "per_feature", "validation_fraction": 0.1}),
        (
            zoo.MLPConfig,
            {
                "activation": "relu",
                "initializer": "he_normal",
                "normalization": "none",
                "normalization_place": "before_activation",
                "dropout": 0.0,
                "skip_connections": False,
                "depth": 2,
                "width": 64,
            },
        ),
        (
            zoo.ResNetConfig,
            {
                "activation": "relu",
                "initializer": "he_normal",
                "normalization": "batch",
                "normalization_place": "before_activation",
                "dropout": 0.0,
                "skip_connections": True,
                "depth": 20,
                "width": 16,
            },
        ),
    ],
)
def test_defaults_stay(config, defaults):
    """Keys leave defaults out, so a default that changes would give stored runs another meaning."""
    now = config().model_dump()
    changed = {name: value for name, value in defaults.items() if now.get(name) != value}
    assert not changed, f"{config.__name__}: changing a default needs a raised REVISION: keys leave defaults out"
    added = set(now) - set(defaults)
    assert not added, f"{config.__name__}: write the default of the new setting down here: {added}"


def test_flat_settings_are_complete(settings_of):
    """The flat settings hold every path but the variant, which is only a name, and the family."""
    flat = settings_of({"model.dropout": 0.5}).flat()
    assert set(flat) == set(setting_paths()) - {"model.variant"} | {"model.family"}
    assert (flat["model.family"], flat["model.dropout"], flat["train.epochs"]) == ("mlp", 0.5, 30)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("model.activatoin", "model.activation"),
        ("train.learnig_rate", "train.learning_rate"),
        ("trian.epochs", "train.epochs"),
        ("model", None),
        ("", None),
        ("optimizer.name", None),
    ],
)
def test_unknown_path(path, nearest):
    """A path that is no setting is refused with its nearest; inside a section the section's keys are listed."""
    (problem,) = problems_of({"model.variant": "mlp_small", path: 1})
    assert problem.path == path
    assert problem.allowed
    if nearest:
        assert problem.nearest in (nearest, nearest.partition(".")[2])


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("train.epochs", "30", "a whole number"),
        ("train.epochs", True, "a whole number"),
        ("train.epochs", 30.0, "a whole number"),
        ("train.learning_rate", "fast", "a number"),
        ("train.optimizer", 1, "text in quotes"),
        ("model.skip_connections", 1, "true or false"),
        ("model.variant", 5, "text in quotes"),
        ("model.dropout", [0.1], "a number"),
    ],
)
def test_wrong_type(path, value, allowed):
    """No type is converted in silence; the path, and what is allowed, are named."""
    (problem,) = problems_of({"model.variant": "mlp_small", path: value})
    assert (problem.path, problem.message, problem.allowed) == (path, "wrong type", allowed)


def test_variant_is_required():
    """Without a variant there is no model, and the message lists the variants."""
    (problem,) = problems_of({"model.dropout": 0.1})
    assert problem.path == "model.variant"
    assert problem.allowed == ", ".join(zoo.VARIANTS)


def test_a_refused_setting_stays_refused(settings_of):
    """The memory of checked settings does not turn a refused one into an accepted one, nor mix 1 and true."""
    for _ in range(2):
        problems_of({"model.variant": "mlp_small", "train.epochs": True})
        assert settings_of({"train.epochs": 1}).train.epochs == 1
