"""Models with a search space, for those who use Keras Tuner's own tuners."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuning.errors import Problem, TuningError, dotted, unknown
from tuning.space import Space, parse_space

if TYPE_CHECKING:
    import keras
    import keras_tuner

MODELS = "tuning.models"
"""The entry points of this group, of any installed package, are functions `create_model(name, **settings)`."""

CreateModel = Callable[..., "keras.Model"]


def hypermodel(
    model: str | CreateModel,
    space: Space | Mapping[str, Any],
    compile_model: Callable[..., None] | None = None,
    **fixed: Any,
) -> keras_tuner.HyperModel:
    """A `keras_tuner.HyperModel` whose models are made by a function, for a stock tuner.

    ```python
    space = {"model.dropout": {"linear": [0.0, 0.6], "step": 0.1}, "train.learning_rate": {"log": [1e-4, 1e-1]}}

    def compile_model(model, learning_rate):
        model.compile(keras.optimizers.Adam(learning_rate), loss)

    tuner = keras_tuner.RandomSearch(tuning.hypermodel("resnet20", space, compile_model, num_classes=10), "val_loss")
    ```

    Args:
        model: makes a `keras.Model` from the settings of the space that begin with `model.`, handed over by name
            without that prefix; or the name of a model that an installed package offers.
        space: what to search, or the form in which a suite has it.
        compile_model: compiles a model, with the settings that begin with `train.` by name. Without it the models stay
            as they are made, and the tuner has to be given `optimizer`, `loss` and `metrics`.
        fixed: settings of `model` that are not searched.

    Raises:
        TuningError: the space cannot be searched, or has a setting that nobody is handed or that is fixed too; or no
            package offers models by name.
    """
    space = space if isinstance(space, Space) else parse_space(space)
    problems = [each for path in space.parameters for each in _problems_of(path, compile_model is not None, fixed)]
    if problems:
        raise TuningError(problems)
    create = _by_name(model) if isinstance(model, str) else model
    return _make(functools.partial(create, **fixed), space, compile_model)


def _problems_of(path: str, compiles: bool, fixed: Mapping[str, Any]) -> list[Problem]:
    where, (part, _, name) = dotted(path), path.partition(".")
    if part not in ("model", "train") or not name:
        return [unknown(where, "part of a hypermodel", path, ("model.", "train."))]
    if part == "train" and not compiles:
        return [Problem(where, "no effect without compile_model", allowed="only with compile_model")]
    if part == "model" and name in fixed:
        return [Problem(where, "both searched and fixed", str(fixed[name]))]
    return []


def _by_name(name: str) -> CreateModel:
    found = importlib.metadata.entry_points(group=MODELS)
    if not found:
        message = f"no installed package offers models by name (entry points {MODELS!r})"
        raise TuningError([Problem("model", message, name, "a function that makes models")])
    return functools.partial(next(iter(found)).load(), name)


def _make(create: CreateModel, space: Space, compile_model: Callable[..., None] | None) -> keras_tuner.HyperModel:
    import keras_tuner

    class _HyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
        """Models of one function over one space."""

        def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
            """Let a tuner know the whole space before the first model is built."""
            hp.merge(space.to_keras_tuner(), overwrite=False)

        def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
            """Make the model that these values describe."""
            self.declare_hyperparameters(hp)
            point = space.point_from(hp.values)
            model = create(**_below("model.", point))
            if compile_model is not None:
                compile_model(model, **_below("train.", point))
            return model

    return _HyperModel()


def _below(prefix: str, point: Mapping[str, Any]) -> dict[str, Any]:
    return {path.removeprefix(prefix): value for path, value in point.items() if path.startswith(prefix)}
