"""The identity of a run: which settings share a key, which share a program."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from benchmarks.settings import training
from benchmarks.settings.augmentation import AugmentConfig
from benchmarks.settings.data import DataConfig
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import run_key, setting_paths, settings_from
from benchmarks.settings.training import TrainConfig
from zoo.settings import SettingError

# A value other than the default for each setting, and whether it shapes the computation that is compiled.
OTHER = {
    "model.activation": ("tanh", True),
    "model.leaky_relu_slope": (0.2, True),
    "model.elu_alpha": (0.5, True),
    "model.initializer": ("glorot_uniform", False),
    "model.initializer_gain": ("activation", False),
    "model.initializer_scale": (0.1, False),
    "model.initial_bias": (0.1, False),
    "model.normalization": ("batch", True),
    "model.normalization_momentum": (0.99, True),
    "model.normalization_variance": ("biased", True),
    "model.normalization_epsilon": (1e-3, True),
    "model.normalization_group_size": (16, True),
    "model.normalization_place": ("after_activation", True),
    "model.weight_standardization": (True, True),
    "model.input_dropout": (0.2, True),
    "model.dropout": (0.25, True),
    "model.dropout_kind": ("channels", True),
    "model.drop_connect": (0.5, True),
    "model.max_norm": (3.0, True),
    "model.l1": (1e-5, True),
    "model.l2": (1e-4, True),
    "model.depth": (3, True),
    "model.width": (65, True),
    "model.width_profile": ("pyramid", True),
    "model.skip_connections": ("identity", True),
    "model.stochastic_depth": (0.5, True),
    "model.stages": (1, True),
    "model.blocks_per_stage": ([1, 2, 3], True),
    "model.block": ("bottleneck", True),
    "model.block_order": ("pre_activation", True),
    "model.widening_factor": (2, True),
    "model.stem": ("imagenet", True),
    "model.stem_padding": ("zeros", True),
    "model.activated_shortcuts": ("every_stage", True),
    "model.downsampling_block": ("last", True),
    "model.strided_convolution": ("3x3", True),
    "model.residual_start": ("zero_gamma", True),
    "model.squeeze_excitation": (4, True),
    "model.pooling": ("max", True),
    "train.epochs": (31, True),
    "train.batch_size": (65, True),
    "train.optimizer": ("sgd", True),
    "train.learning_rate": (0.01, False),
    "train.steps": (100, True),
    "train.images": (6400, True),
    "train.stop_after": (3, False),
    "train.momentum": (0.8, True),
    "train.momentum_form": ("average", True),
    "train.beta_1": (0.8, True),
    "train.beta_2": (0.99, True),
    "train.squared_decay": (0.8, True),
    "train.optimizer_epsilon": (1e-3, True),
    "train.weight_decay": (0.1, False),
    "train.weight_decay_form": ("coupled", True),
    "train.clip_norm": (1.0, True),
    "train.clip_value": (0.5, True),
    "train.weight_average": (0.99, True),
    "train.schedule": ("cosine", False),
    "train.decay_at": ([0.25, 0.5], False),
    "train.decay_factor": (0.5, False),
    "train.final_factor": (0.1, False),
    "train.warmup_fraction": (0.2, False),
    "train.plateau_patience": (3, False),
    "train.plateau_factor": (0.5, False),
    "train.loss": ("squared", True),
    "train.huber_delta": (0.5, True),
    "train.label_smoothing": (0.1, True),
    "train.class_weights": ("balanced", True),
    "train.checkpoint": ("best_val", False),
    "train.early_stopping_patience": (5, False),
    "train.monitor": ("val_accuracy", False),
    "augment.flip": (True, True),
    "augment.crop_padding": (1, True),
    "augment.translate": (0.1, True),
    "augment.rotate": (10.0, True),
    "augment.scale": (0.1, True),
    "augment.contrast": (0.2, True),
    "augment.brightness": (0.2, True),
    "augment.color_jitter": (0.3, True),
    "augment.rand_augment": (5.0, True),
    "augment.rand_augment_operations": (3, True),
    "augment.cutout": (4, True),
    "augment.gaussian_noise": (0.1, True),
    "augment.mixup": (0.2, True),
    "augment.cutmix": (1.0, True),
    "data.standardize": ("min_max", False),
    "data.validation_fraction": (0.2, True),
    "data.train_fraction": (0.5, True),
    "data.class_imbalance": (0.1, True),
    "data.train": ("train[:80%]", False),
    "data.test": ("validation", False),
    "data.task": ("classification", False),
}

RESNET = {"model.variant": "resnet8"}

# What has to be set besides, for a setting to have an effect or for its family to be the one that has it.
COMPANIONS = {
    "model.leaky_relu_slope": {"model.activation": "leaky_relu"},
    "model.elu_alpha": {"model.activation": "elu"},
    "model.initializer_scale": {"model.initializer": "small_normal"},
    "model.normalization_momentum": {"model.normalization": "batch"},
    "model.normalization_variance": {"model.normalization": "batch"},
    "model.normalization_epsilon": {"model.normalization": "layer"},
    "model.normalization_group_size": {"model.normalization": "group"},
    "model.normalization_place": {"model.normalization": "rms"},
    "model.stochastic_depth": {"model.skip_connections": "identity"},
    "model.dropout_kind": RESNET | {"model.dropout": 0.1},
    "model.blocks_per_stage": RESNET | {"model.depth": 14},
    "model.block": RESNET | {"model.depth": 20},
    "model.strided_convolution": RESNET | {"model.block": "bottleneck", "model.depth": 11},
    "model.stages": RESNET,
    "model.block_order": RESNET,
    "model.widening_factor": RESNET,
    "model.stem": RESNET,
    "model.stem_padding": RESNET | {"model.stem": "imagenet"},
    "model.activated_shortcuts": {"model.variant": "preact_resnet8"},
    "model.downsampling_block": RESNET,
    "model.residual_start": RESNET,
    "model.squeeze_excitation": RESNET,
    "model.pooling": RESNET,
    "train.momentum": {"train.optimizer": "momentum"},
    "train.squared_decay": {"train.optimizer": "rmsprop"},
    "train.decay_at": {"train.schedule": "step"},
    "train.decay_factor": {"train.schedule": "step"},
    "train.final_factor": {"train.schedule": "exponential"},
    "train.warmup_fraction": {"train.schedule": "one_cycle"},
    "train.plateau_patience": {"train.schedule": "reduce_on_plateau"},
    "train.plateau_factor": {"train.schedule": "reduce_on_plateau"},
    "train.momentum_form": {"train.optimizer": "momentum"},
    "train.weight_decay_form": {"train.weight_decay": 0.1},
    "train.huber_delta": {"train.loss": "huber"},
    "train.early_stopping_patience": {"train.checkpoint": "best_val"},
    "train.monitor": {"train.checkpoint": "best_val"},
    "augment.rand_augment_operations": {"augment.rand_augment": 5.0},
}

# Of a bias and a normalization with an offset of its own, of the lengths of a training, and of an optimizer and the
# coefficients of another only one can be.
EXCLUDED = {
    "model.initial_bias",
    "train.steps",
    "train.images",
    "train.beta_1",
    "train.beta_2",
    "train.optimizer_epsilon",
}
TOGETHER = sorted(set(OTHER) - set(COMPANIONS) - EXCLUDED)
"""The settings whose other values go together in one perceptron."""


@pytest.fixture
def other_of(settings_of):
    """Give a function that makes the settings in which a path has an effect, and the same with its other value."""

    def make(path):
        base = COMPANIONS.get(path, {})
        return settings_of(base), settings_of(base | {path: OTHER[path][0]})

    return make


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
def test_every_setting_changes_the_key(other_of, path):
    """Runs that differ in any one setting are different runs."""
    base, other = other_of(path)
    assert key_of(other) != key_of(base)


@pytest.mark.parametrize("path", OTHER)
def test_what_shapes_the_program(other_of, path):
    """A setting that shapes the computation needs a program of its own; one that is only fed in shares it."""
    base, other = other_of(path)
    assert (other.program() != base.program()) == OTHER[path][1]


@pytest.mark.parametrize(
    ("path", "clash", "reason"),
    [
        ("model.leaky_relu_slope", {}, 'no effect with activation = "relu"'),
        ("model.elu_alpha", {"model.activation": "selu"}, 'no effect with activation = "selu"'),
        ("model.initializer_gain", {"model.initializer": "zeros"}, 'no effect with initializer = "zeros"'),
        ("model.initializer_scale", {}, 'no effect with initializer = "he_normal"'),
        ("model.initial_bias", {"model.normalization": "batch"}, "no effect: no hidden layer of this network has"),
        ("model.normalization_momentum", {"model.normalization": "layer"}, 'no effect with normalization = "layer"'),
        ("model.normalization_variance", {"model.normalization": "group"}, 'no effect with normalization = "group"'),
        ("model.stem_padding", RESNET, 'no effect with stem = "small_image"'),
        ("model.activated_shortcuts", RESNET, 'no effect with block_order = "post_activation"'),
        ("model.activated_shortcuts", {"model.variant": "wrn_16_4"}, 'no effect with skip_connections = "projection"'),
        ("model.initializer_gain", {"model.initializer": "pytorch_default"}, "no effect with initializer = "),
        ("model.normalization_epsilon", {}, 'no effect with normalization = "none"'),
        ("model.normalization_group_size", {}, 'no effect with normalization = "none"'),
        ("model.normalization_place", {}, 'no effect with normalization = "none"'),
        ("model.stochastic_depth", {}, 'no effect with skip_connections = "none"'),
        ("model.dropout_kind", RESNET, "no effect with dropout = 0.0"),
        ("model.strided_convolution", RESNET, 'no effect with block = "basic"'),
        ("model.residual_start", {"model.variant": "plain20"}, 'no effect with skip_connections = "none"'),
        ("train.momentum", {}, 'no effect with optimizer = "adam"'),
        ("train.beta_1", {"train.optimizer": "sgd"}, 'no effect with optimizer = "sgd"'),
        ("train.beta_2", {"train.optimizer": "muon"}, 'no effect with optimizer = "muon"'),
        ("train.squared_decay", {}, 'no effect with optimizer = "adam"'),
        ("train.optimizer_epsilon", {"train.optimizer": "lion"}, 'no effect with optimizer = "lion"'),
        ("train.decay_at", {}, 'no effect with schedule = "constant"'),
        ("train.decay_factor", {"train.schedule": "cosine"}, 'no effect with schedule = "cosine"'),
        ("train.final_factor", {"train.schedule": "linear"}, 'no effect with schedule = "linear"'),
        ("train.warmup_fraction", {"train.schedule": "cosine"}, 'no effect with schedule = "cosine"'),
        ("train.plateau_patience", {}, 'no effect with schedule = "constant"'),
        ("train.huber_delta", {"train.loss": "squared"}, 'no effect with loss = "squared"'),
        ("train.early_stopping_patience", {}, 'no effect with checkpoint = "last"'),
        ("augment.rand_augment_operations", {}, "no effect with rand_augment = 0.0"),
        ("model.pooling", {}, "no such key"),
        ("model.depth", {"model.variant": "lenet5"}, "no such key"),
    ],
)
def test_setting_without_effect_is_refused(path, clash, reason):
    """A setting that would change nothing beside the others is refused by its path, with the reason and a way out."""
    (problem,) = problems_of({"model.variant": "mlp_small"} | clash | {path: OTHER[path][0]})
    assert problem.path == path
    assert problem.message.startswith(reason)
    assert problem.allowed


@pytest.mark.parametrize(
    "looking",
    [{"train.checkpoint": "best_val"}, {"train.schedule": "reduce_on_plateau"}],
    ids=["best_val", "reduce_on_plateau"],
)
def test_what_looks_at_a_validation_part_needs_one(looking):
    """Whatever the data are, what is chosen by the validation part is refused where there is none."""
    (problem,) = problems_of({"model.variant": "mlp_small", "data.validation_fraction": 0.0} | looking)
    assert (problem.path, problem.given, problem.allowed) == ("data.validation_fraction", "0", "more than 0")
    assert next(iter(looking)) in problem.message


def test_family_shapes_program_and_key():
    """Families never share a key or a program, also where every setting of each is at its default."""
    each_family = [settings_from({"model.variant": variant}) for variant in ("mlp_small", "lenet5", "resnet20")]
    assert [settings.model.differing_from_default() for settings in each_family] == [{}, {}, {}]
    assert {settings.model.family for settings in each_family} == {config.family for config in zoo.FAMILIES}
    assert len({key_of(settings) for settings in each_family}) == 3
    assert len({settings.program() for settings in each_family}) == 3


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


@given(order=st.permutations(TOGETHER))
def test_order_of_settings_does_not_matter(order):
    """Settings given in any order make the same run and the same program."""
    values = {"model.variant": "mlp_small"} | {path: OTHER[path][0] for path in TOGETHER}
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


OPTIMIZER_COEFFICIENTS = [(optimizer, name) for optimizer, row in OPTIMIZERS.items() for name in row.coefficients]


@pytest.mark.parametrize(("optimizer", "name"), OPTIMIZER_COEFFICIENTS)
def test_every_coefficient_changes_the_key(settings_of, optimizer, name):
    """A coefficient of any optimizer makes another run, and another program."""
    decay = {"train.weight_decay": 0.1} if optimizer == "adamw" else {}
    base = settings_of({"train.optimizer": optimizer} | decay)
    other = settings_of({"train.optimizer": optimizer, f"train.{name}": 0.5} | decay)
    assert key_of(other) != key_of(base)
    assert (other.program() != base.program()) is (name != "learning_rate")


def test_coefficients_of_optimizers_stay():
    """A coefficient that nobody sets is not in the key: changing one of these needs a raised REVISION."""
    rates = {"sgd": 0.01, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adadelta": 1.0, "nadam": 0.002}
    rates |= {"adamax": 0.002, "lion": 1e-4}
    adam = {"beta_1": 0.9, "beta_2": 0.999, "optimizer_epsilon": 1e-8}
    others = {
        "sgd": {},
        "momentum": {"momentum": 0.9},
        "nesterov": {"momentum": 0.9},
        "adagrad": {"optimizer_epsilon": 1e-10},
        "adadelta": {"squared_decay": 0.95, "optimizer_epsilon": 1e-6},
        "rmsprop": {"squared_decay": 0.9, "momentum": 0.0, "optimizer_epsilon": 1e-8},
        "adam": adam,
        "adamw": adam,
        "nadam": adam,
        "adamax": adam,
        "lion": {"beta_1": 0.9, "beta_2": 0.99},
        "lamb": adam | {"optimizer_epsilon": 1e-6},
        "muon": {"momentum": 0.95},
    }
    assert {
        name: {path: each.value for path, each in row.coefficients.items()} for name, row in OPTIMIZERS.items()
    } == {name: {"learning_rate": rates.get(name, 0.001)} | coefficients for name, coefficients in others.items()}


def test_revision_of_training():
    """Runs of earlier training engines do not count as runs of the third."""
    assert training.REVISION == 3


@pytest.mark.parametrize("path", OTHER)
def test_default_written_out_is_the_default(other_of, settings_of, path):
    """Saying what is the default anyway makes the same run."""
    base, _ = other_of(path)
    spelt_out = settings_of(COMPANIONS.get(path, {}) | {path: base.flat()[path]})
    assert key_of(spelt_out) == key_of(base)


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


@pytest.mark.parametrize(
    ("changes", "identity"),
    [
        ({}, '"family":"mlp","model":{"activation":"tanh"}'),
        ({"model.width": [128, 64]}, '"family":"mlp","model":{"activation":"tanh","width":[128,64]}'),
        (
            {"model.variant": "resnet8", "model.blocks_per_stage": [2, 1, 1], "model.depth": 10},
            '"family":"resnet","model":{"activation":"tanh","blocks_per_stage":[2,1,1],"depth":10}',
        ),
    ],
)
def test_key_is_the_hash_of_what_differs_from_the_defaults(settings_of, monkeypatch, changes, identity):
    """A key is 32 hexadecimal digits of the SHA-256 of this text: stores outlive versions of the code."""
    monkeypatch.setattr(zoo, "REVISION", 3)
    monkeypatch.setattr(training, "REVISION", 4)
    settings = settings_of({"model.activation": "tanh", "train.learning_rate": 1, "train.epochs": 30} | changes)
    text = (
        '{"augment":{},"data":{},"dataset":"glue/cola","dataset_version":"2.0.0",'
        + identity
        + ',"seed":7,"train":{"learning_rate":1.0},"training_revision":4,"zoo_revision":3}'
    )
    assert run_key(settings, "glue/cola", "2.0.0", 7) == hashlib.sha256(text.encode()).hexdigest()[:32]


COMMON_DEFAULTS = {
    "activation": "relu",
    "leaky_relu_slope": 0.01,
    "elu_alpha": 1.0,
    "initializer": "he_normal",
    "initializer_gain": "fixed",
    "initializer_scale": 0.01,
    "initial_bias": 0.0,
    "normalization": "none",
    "normalization_momentum": 0.9,
    "normalization_variance": "unbiased",
    "normalization_epsilon": 1e-5,
    "normalization_group_size": 8,
    "normalization_place": "before_activation",
    "weight_standardization": False,
    "input_dropout": 0.0,
    "dropout": 0.0,
    "drop_connect": 0.0,
    "max_norm": 0.0,
    "l1": 0.0,
    "l2": 0.0,
}


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        (
            TrainConfig,
            {
                "epochs": 30,
                "steps": 0,
                "images": 0,
                "stop_after": 0,
                "batch_size": 64,
                "optimizer": "adam",
                "learning_rate": None,
                "momentum": None,
                "momentum_form": "rate_inside",
                "beta_1": None,
                "beta_2": None,
                "squared_decay": None,
                "optimizer_epsilon": None,
                "weight_decay": 0.0,
                "weight_decay_form": "decoupled",
                "clip_norm": 0.0,
                "clip_value": 0.0,
                "weight_average": 0.0,
                "schedule": "constant",
                "decay_at": (0.5, 0.75),
                "decay_factor": 0.1,
                "final_factor": 0.01,
                "warmup_fraction": 0.1,
                "plateau_patience": 5,
                "plateau_factor": 0.1,
                "loss": "by_task",
                "huber_delta": 1.0,
                "label_smoothing": 0.0,
                "class_weights": "none",
                "checkpoint": "last",
                "early_stopping_patience": 0,
                "monitor": "val_loss",
            },
        ),
        (
            AugmentConfig,
            {
                "flip": False,
                "crop_padding": 0,
                "translate": 0.0,
                "rotate": 0.0,
                "scale": 0.0,
                "contrast": 0.0,
                "brightness": 0.0,
                "color_jitter": 0.0,
                "rand_augment": 0.0,
                "rand_augment_operations": 2,
                "cutout": 0,
                "gaussian_noise": 0.0,
                "mixup": 0.0,
                "cutmix": 0.0,
            },
        ),
        (
            DataConfig,
            {
                "train": "",
                "test": "",
                "task": "by_target",
                "standardize": "per_feature",
                "validation_fraction": 0.1,
                "train_fraction": 1.0,
                "class_imbalance": 1.0,
            },
        ),
        (
            zoo.MLPConfig,
            COMMON_DEFAULTS
            | {
                "depth": 2,
                "width": 64,
                "width_profile": "constant",
                "skip_connections": "none",
                "stochastic_depth": 0.0,
            },
        ),
        (zoo.LeNetConfig, COMMON_DEFAULTS | {"activation": "scaled_tanh", "initializer": "lenet_uniform"}),
        (
            zoo.ResNetConfig,
            COMMON_DEFAULTS
            | {
                "depth": 20,
                "stages": 3,
                "blocks_per_stage": (),
                "block": "basic",
                "block_order": "post_activation",
                "width": 16,
                "widening_factor": 1,
                "stem": "small_image",
                "stem_padding": "minus_infinity",
                "activated_shortcuts": "first_block",
                "downsampling_block": "first",
                "strided_convolution": "1x1",
                "normalization": "batch",
                "skip_connections": "identity",
                "residual_start": "as_others",
                "squeeze_excitation": 0,
                "dropout_kind": "units",
                "stochastic_depth": 0.0,
                "pooling": "average",
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


@pytest.mark.parametrize(("variant", "family"), [("mlp_small", "mlp"), ("lenet5", "lenet"), ("resnet8", "resnet")])
def test_flat_settings_are_complete(settings_of, variant, family):
    """The flat settings hold every path of the family but the variant, which is only a name, and the family."""
    settings = settings_of({"model.variant": variant, "model.dropout": 0.5})
    flat = settings.flat()
    others = {path for path in setting_paths() if not path.startswith("model.")}
    of_model = {f"model.{name}" for name in type(settings.model).model_fields}
    assert set(flat) == others | of_model | {"model.family"}
    assert of_model < set(setting_paths())
    assert (flat["model.family"], flat["model.dropout"], flat["train.epochs"]) == (family, 0.5, 30)


def test_flat_lists_are_plain(settings_of):
    """A list stays a list in the flat settings, as it is stored and reported."""
    assert settings_of({"model.width": [128, 64]}).flat()["model.width"] == [128, 64]
    staged = settings_of(RESNET | {"model.depth": 14, "model.blocks_per_stage": [1, 2, 3]})
    assert staged.flat()["model.blocks_per_stage"] == [1, 2, 3]


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
        ("model.skip_connections", True, "text in quotes"),
        ("model.weight_standardization", 1, "true or false"),
        ("model.variant", 5, "text in quotes"),
        ("model.dropout", [0.1], "a number"),
    ],
)
def test_wrong_type(path, value, allowed):
    """No type is converted in silence; the path, and what is allowed, are named."""
    (problem,) = problems_of({"model.variant": "mlp_small", path: value})
    assert (problem.path, problem.message, problem.allowed) == (path, "wrong type", allowed)


def test_list_of_wrong_type():
    """A setting that is a list in every case is refused as anything else."""
    (problem,) = problems_of(RESNET | {"model.blocks_per_stage": 3})
    assert (problem.path, problem.message, problem.allowed) == ("model.blocks_per_stage", "wrong type", "a list")


@pytest.mark.parametrize("value", ["64", 64.0, True, 0, -1, 65537, [], [64, "64"], [64, True], [64, 0], [[64], 64]])
def test_number_or_list_of_numbers(value):
    """A width is a whole number or a list of them; anything else is refused, and what is allowed is told."""
    (problem,) = problems_of({"model.variant": "mlp_small", "model.width": value})
    assert (problem.path, problem.message) == ("model.width", "wrong value")
    assert problem.allowed == "a whole number from 1 to 65536, or a list of them, one for each of the hidden layers"


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


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"model.width": [64, 64]}, {}),
        ({"model.width": [32, 32]}, {"model.width": 32}),
        ({"model.variant": "resnet8", "model.blocks_per_stage": [1, 1, 1]}, {"model.variant": "resnet8"}),
    ],
)
def test_one_network_written_in_two_ways_is_one_run(settings_of, one, same):
    """A list that says what holds without it makes the same run."""
    assert key_of(settings_of(one)) == key_of(settings_of(same))
