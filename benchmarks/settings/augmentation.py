"""The settings of augmentation, and which of them fit which data. Nothing here needs Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ConfigDict

from benchmarks.tasks import Task
from zoo.settings import Problem, SettingError, Settings, as_written, setting

Shape = tuple[int, ...]

LARGEST_MAGNITUDE = 10
"""RandAugment's magnitude at which every operation is as strong as AutoAugment ever makes it."""


def _strength(explanation: str, **most: Any) -> Any:
    return setting(0.0, explanation, ge=0, **most)


class AugmentConfig(Settings):
    """How training examples are changed at random; all is off unless it is set.

    Every strength is drawn anew for each example of each batch, shares of mixup and cutmix too, of which their authors'
    code draws one a batch. Validation and test examples stay as they are. The changes are made in the order of the
    settings, on inputs as they are stored and before they are standardized; what comes in from outside an image is the
    lowest value, black.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    flip: bool = setting(
        False, "Whether images are mirrored left to right with a chance of one half (He et al. 2016, section 4.2)."
    )
    crop_padding: int = setting(
        0,
        "Pixels that are put around an image before a window of its old size is cut out anywhere; 0: off "
        "(He et al. 2016, section 4.2: 4).",
        ge=0,
        le=1024,
    )
    translate: float = _strength(
        "Largest shift along each axis, as a share of the image's size there, between pixels as well; 0: off "
        "(Simard, Steinkraus & Platt 2003, section 2).",
        le=1,
    )
    rotate: float = _strength(
        "Largest rotation in degrees, to either side; 0: off (Simard, Steinkraus & Platt 2003, section 2).", le=180
    )
    scale: float = _strength(
        "Largest share by which the window that an image shows grows or shrinks, about its middle; 0: off "
        "(Simonyan & Zisserman 2015, section 3.1, jitters the scale).",
        lt=1,
    )
    contrast: float = _strength(
        "s: each channel's distances from its mean over the image are multiplied by 1 - s to 1 + s; 0: off "
        "(Keras's RandomContrast).",
        le=1,
    )
    brightness: float = _strength(
        "Largest number that is added to or taken from a whole image, as a share of the value range; 0: off "
        "(Keras's RandomBrightness).",
        le=1,
    )
    color_jitter: float = _strength(
        "s: brightness, contrast and saturation are multiplied by 1 - s to 1 + s each, in random order; 0: off "
        "(Howard 2013, section 2: 0.5).",
        le=1,
    )
    rand_augment: float = _strength(
        "Magnitude of random operations, where 10 is the strongest that AutoAugment has; 0: off "
        "(Cubuk et al. 2020, section 3).",
        le=LARGEST_MAGNITUDE,
    )
    rand_augment_operations: int = setting(
        2,
        "Number of random operations, one after another (Cubuk et al. 2020, section 3).",
        ge=1,
        le=14,
        not_with={"rand_augment": 0.0},
    )
    cutout: int = setting(
        0,
        "Side in pixels of a square that is erased, its middle anywhere in the image; 0: off "
        "(DeVries & Taylor 2017, sections 3 and 4.1: 16 of 32 for CIFAR-10).",
        ge=0,
        le=1024,
    )
    gaussian_noise: float = _strength(
        "Standard deviation of noise that is added to every input, as a share of the value range; 0: off "
        "(Bishop 1995).",
        le=1,
    )
    mixup: float = _strength(
        "alpha: an example and its label are mixed with another of the batch, with weights from Beta(alpha, alpha); "
        "0: off (Zhang et al. 2018, section 3: 1 for CIFAR-10, 0.1 to 0.4 for ImageNet).",
        le=100,
    )
    cutmix: float = _strength(
        "alpha: a rectangle of another image of the batch is pasted in, the rest having a share from "
        "Beta(alpha, alpha), and the labels are mixed by area; 0: off (Yun et al. 2019, section 3.1: 1).",
        le=100,
    )

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all."""
        return any(self._active())

    @property
    def mixes_labels(self) -> bool:
        """Whether the labels that are trained on are mixtures of classes."""
        return bool(self.mixup or self.cutmix)

    def check_data(self, task: Task, input_shape: Shape) -> None:
        """Refuse augmentations that do not fit data with this task and shape of an example.

        Raises:
            SettingError: its problems name the settings, such as `augment.mixup`.
        """
        problems = []
        for name in self._active():
            for rule in _RULES[name]:
                if misfit := rule(getattr(self, name), task, input_shape):
                    message, data, allowed = misfit
                    given = f"{as_written(getattr(self, name))} on {data}"
                    problems.append(Problem(f"augment.{name}", message, given, allowed))
                    break
        if problems:
            raise SettingError(problems)

    def _active(self) -> Iterator[str]:
        return (name for name in _RULES if getattr(self, name))


_Misfit = tuple[str, str, str]
"""Why a setting does not fit the data, what these are like, and what is allowed."""

_Rule = Callable[[float, Task, Shape], _Misfit | None]


def _needs_images(_value: float, _task: Task, shape: Shape) -> _Misfit | None:
    if len(shape) == 3:
        return None
    return ("it needs images", f"examples of shape {shape}", "examples of shape (height, width, channels)")


def _needs_colours(_value: float, _task: Task, shape: Shape) -> _Misfit | None:
    if shape[2] == 3:
        return None
    return (
        "it needs colours: it changes how far they are from grey",
        f"images with {_counted(shape[2], 'channel')}",
        "images with 3 channels",
    )


def _needs_grey_or_colours(_value: float, _task: Task, shape: Shape) -> _Misfit | None:
    if shape[2] in (1, 3):
        return None
    return (
        "its operations are defined for grey images and for red, green and blue",
        f"images with {_counted(shape[2], 'channel')}",
        "images with 1 or 3 channels",
    )


def _needs_neighbours(_value: float, _task: Task, shape: Shape) -> _Misfit | None:
    if min(shape[:2]) >= 3:
        return None
    return ("its sharpness needs the neighbours of a pixel", _size(shape), "images of 3x3 pixels or more")


def _less_than_the_image(value: float, _task: Task, shape: Shape) -> _Misfit | None:
    side = min(shape[:2])
    if value < side:
        return None
    return ("nothing of the image would be left in some windows", _size(shape), f"0 to {side - 1}")


def _at_most_the_image(value: float, _task: Task, shape: Shape) -> _Misfit | None:
    side = min(shape[:2])
    if value <= side:
        return None
    return ("the square is larger than the image", _size(shape), f"0 to {side}")


def _needs_classes(_value: float, task: Task, _shape: Shape) -> _Misfit | None:
    if task != "regression":
        return None
    message = (
        "it mixes the labels of classes; a mixture of two numbers would claim that the target lies on the line between"
    )
    return (message, "a regression", "0, or a dataset with classes")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(shape: Shape) -> str:
    return f"images of {shape[0]}x{shape[1]} pixels"


_RULES: dict[str, tuple[_Rule, ...]] = {
    "flip": (_needs_images,),
    "crop_padding": (_needs_images, _less_than_the_image),
    "translate": (_needs_images,),
    "rotate": (_needs_images,),
    "scale": (_needs_images,),
    "contrast": (_needs_images,),
    "brightness": (_needs_images,),
    "color_jitter": (_needs_images, _needs_colours),
    "rand_augment": (_needs_images, _needs_grey_or_colours, _needs_neighbours),
    "cutout": (_needs_images, _at_most_the_image),
    "gaussian_noise": (),
    "mixup": (_needs_classes,),
    "cutmix": (_needs_images, _needs_classes),
}
"""Setting -> what it asks of the data, in the order in which augmentations are made."""

AUGMENTATIONS = tuple(_RULES)
"""Every augmentation by the setting of its strength, in the order in which they are made."""
