"""One network on one batch: in double precision, its loss, and its loss after some steps.

Who has a network has imported Keras and TensorFlow; whoever only looks at this module need not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.arrays import Array, Tensor
from zoo.settings import Problem, SettingError, as_written

if TYPE_CHECKING:
    import keras

LossOfOutputs = Callable[[Any], Any]
"""Mean loss of a batch from the model's outputs for it."""

_MEAN = "the mean over the batch"


def in_double_precision(model: keras.Model) -> keras.Model:
    """The same model with the same values, computing in double precision; the model itself if it does so.

    Raises:
        SettingError: the model has not been built, or has a `call` of its own and computes in another precision.
    """
    import keras

    from zoo.graph import checked_graph, checked_model

    computed = {layer.compute_dtype for layer in checked_model(model)._flatten_layers(include_self=False)}
    if computed == {"float64"}:
        return model
    graph = checked_graph(model)
    if isinstance(graph, keras.Sequential):
        graph = keras.Model(graph.inputs, graph.outputs, name=graph.name)

    def doubled(operation: Any) -> Any:
        if isinstance(operation, keras.Model):
            return in_double_precision(operation)
        own = {"dtype": "float64"} if isinstance(operation, keras.Layer) else {}
        return type(operation).from_config(operation.get_config() | own)

    def doubled_input(tensor: Any) -> Any:
        dtype = "float64" if "float" in tensor.dtype else tensor.dtype
        return keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")  # of models, which have none in their config, and cast what they are given
    try:
        made = keras.models.clone_model(graph, keras.tree.map_structure(doubled_input, graph.input), doubled)
    finally:
        keras.config.set_dtype_policy(before)
    made.set_weights(model.get_weights())
    return made


def training_call(model: keras.Model, weights: Sequence[Any], fixed: Sequence[Any], inputs: Array) -> tuple[Any, Any]:
    """Outputs and penalties in training with these trainable and other values; the model stays as it is.

    Keras's own `stateless_call` hands `training` to a `call` that does not ask for it, and to no layer in it.
    """
    import keras

    mapping = [*zip(model.trainable_variables, weights, strict=True)]
    mapping += zip(model.non_trainable_variables, fixed, strict=True)
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
        outputs = model(inputs, training=True)
        return outputs, model.losses


def checked_loss(loss: LossOfOutputs, outputs: Any) -> Tensor:
    """The loss of outputs.

    Raises:
        SettingError: it is no function of them, cannot be computed of tensors, or gives not one number.
    """
    import tensorflow as tf

    if not callable(loss):
        raise SettingError([Problem("loss", "wrong type", as_written(loss), "a function of the model's outputs")])
    try:
        total = tf.convert_to_tensor(loss(outputs))
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        message, allowed = "it cannot be computed of the outputs", f"operations on tensors, {_MEAN}"
        raise SettingError([Problem("loss", message, str(error).partition("\n")[0], allowed)]) from error
    if total.shape.rank != 0 or not total.dtype.is_floating:
        given = f"shape {tuple(total.shape)}, {total.dtype.name}"
        raise SettingError([Problem("loss", "one number is needed", given, _MEAN)])
    return total


def gradients_of(tape: Any, total: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the loss by tensors; zero for those that it does not follow from.

    Raises:
        SettingError: it follows from none of them.
    """
    import tensorflow as tf

    found = tape.gradient(total, sources)
    if sources and all(gradient is None for gradient in found):
        message, allowed = "it does not follow from the model's outputs", f"operations on tensors, {_MEAN}"
        raise SettingError([Problem("loss", message, allowed=allowed)])
    return [tf.zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True)]


def loss_after(model: keras.Model, inputs: Array, loss: LossOfOutputs, steps: int) -> float:
    """Loss of a batch after so many steps of Adam on this batch alone: a network that can learn has learnt it by heart.

    The model's weights are changed.
    """
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)

    def current() -> Tensor:
        return tf.add_n([loss(model(inputs, training=True)), *model.losses])

    def step() -> None:
        with tf.GradientTape() as tape:
            total = current()
        optimizer.apply(tape.gradient(total, [each.value for each in model.trainable_variables]))

    train = tf.function(step, autograph=False)
    for _ in range(steps):
        train()
    return float(current())
