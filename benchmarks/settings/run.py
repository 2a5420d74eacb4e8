"""All settings of a run, addressed by dotted paths such as `model.activation`, and the identity of a run."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

import zoo
from benchmarks.settings import training
from benchmarks.settings.augmentation import AugmentConfig
from benchmarks.settings.data import DataConfig
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.training import TrainConfig
from zoo.config import ModelConfig
from zoo.settings import Problem, SettingError, Settings

Changes = Mapping[str, Any]
"""Dotted path of a setting -> the value it takes."""

Revisions = tuple[int, int]
"""Of the zoo and of the training: what settings mean to the code."""

SECTION_CONFIGS: dict[str, tuple[type[Settings], ...]] = {
    "model": zoo.FAMILIES,
    "train": (TrainConfig,),
    "data": (DataConfig,),
    "augment": (AugmentConfig,),
}
"""The configs that a section's settings can belong to."""

SECTIONS = tuple(SECTION_CONFIGS)
"""The first part of every setting's path."""

ALIKE, MOST_ALIKE, MOST_OF_SECTION = 0.65, 5, 8
"""How like a name a setting's is that is told where the name is wrong, and how many are told at most; where none is
alike, a section with so many settings is told whole."""

VARIANT = "model.variant"
"""The path that names the model whose settings the others of `model` replace."""


@dataclass(frozen=True)
class RunSettings:
    """Everything but dataset and seed that determines a run."""

    model: ModelConfig
    train: TrainConfig
    data: DataConfig
    augment: AugmentConfig

    def __post_init__(self) -> None:
        """Refuse what has no effect, or nothing to look at.

        Raises:
            SettingError: sections clash.
        """
        if self.data.validation_fraction == 0 and self.train.needs_validation:
            asked = "train.checkpoint" if self.train.checkpoint == "best_val" else "train.schedule"
            message = f"{asked} looks at a validation part, and there is none"
            raise SettingError([Problem("data.validation_fraction", message, "0", "more than 0")])
        optimizer = self.train.optimizer
        if OPTIMIZERS[optimizer].is_for_matrices and not self.model.has_hidden_matrices:
            message = f"no effect: {optimizer} is for hidden dense layers, and this network has none"
            raise SettingError([Problem("train.optimizer", message, optimizer, "adam, which trains all other weights")])

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted path, with the model's family as `model.family`."""
        values = {"model.family": self.model.family}
        for section in SECTIONS:
            config = getattr(self, section)
            values |= {f"{section}.{name}": value for name, value in config.model_dump(mode="json").items()}
        return values | {f"train.{name}": value for name, value in self.train.coefficients().items()}

    def identity(self) -> dict[str, Any]:
        """What tells these settings from others, in plain values."""
        return {"family": self.model.family} | {
            section: getattr(self, section).differing_from_default() for section in SECTIONS
        }

    def program(self) -> str:
        """What shapes the compiled computation, as text: equal for settings that can share one."""
        shaping = {section: getattr(self, section).shaping_program() for section in SECTIONS}
        return canonical_json({"family": self.model.family} | shaping)


def settings_from(changes: Changes) -> RunSettings:
    """Make the settings of a run from dotted paths.

    Raises:
        SettingError: a path or a value cannot be used; its problems carry dotted paths.
    """
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for path, value in changes.items():
        if path not in _known_paths():
            raise SettingError([unknown_setting(path, path)])
        section, _, name = path.partition(".")
        sections[section][name] = value
    configs = {}
    for section, values in sections.items():
        try:
            configs[section] = _section(section, canonical_json(values))
        except SettingError as error:
            raise error.below(section) from None
    return RunSettings(**configs)


# A design repeats each section's settings many times over: 100,000 runs hold few distinct ones.
@functools.lru_cache(maxsize=4096)
def _section(section: str, values_json: str) -> Any:
    values = json.loads(values_json)
    if section != "model":
        (config,) = SECTION_CONFIGS[section]
        return config(**values)
    variant = values.pop("variant", None)
    if variant is None:
        raise SettingError([Problem("variant", "this key is required", allowed=", ".join(zoo.VARIANTS))])
    if not isinstance(variant, str):
        raise SettingError([Problem("variant", "wrong type", str(variant), "text in quotes")])
    return zoo.model_config(variant, **values)


def setting_paths() -> list[str]:
    """The dotted paths of all settings that a suite can give."""
    return [VARIANT, *(f"{section}.{name}" for section in SECTIONS for name in section_fields(section))]


@functools.cache
def _known_paths() -> frozenset[str]:
    return frozenset(setting_paths())


def unknown_setting(place: str, given: str) -> Problem:
    """The problem of a path that is no setting, with the few whose names are like it, or those of its section.

    Args:
        place: where it stands.
        given: what stands there.
    """
    section, _, name = given.rpartition(".")
    scores = {path: _likeness(path, section, name.lower()) for path in setting_paths()}
    like = sorted((path for path in scores if scores[path] >= ALIKE), key=lambda path: -scores[path])[:MOST_ALIKE]
    there = [path for path in scores if path.startswith(f"{section}.")]
    listed = like or (there if len(there) <= MOST_OF_SECTION else [])
    everywhere = f"{len(scores)} settings are listed by `ablate schema`"
    allowed = f"{', '.join(listed)}; {everywhere}" if listed else everywhere
    return Problem(place, "no such setting", given, allowed, like[0] if like else None)


def _likeness(path: str, section: str, name: str) -> float:
    """How much a setting is like a name, from 0: sections that are alike make no names alike."""
    own_section, _, own = path.partition(".")
    initials = "".join(word[0] for word in own.split("_"))
    begins = ALIKE if len(name) > 2 and own.startswith(name) else 0.0
    alike = 1.0 if name in (own, initials) else max(begins, difflib.SequenceMatcher(None, name, own).ratio())
    return alike + (0.1 if own_section == section else 0.0)


def section_fields(section: str) -> dict[str, FieldInfo]:
    """The settings of a section by name; for the model, those of every family."""
    fields: dict[str, FieldInfo] = {}
    for config in SECTION_CONFIGS[section]:
        fields = config.model_fields | fields
    return fields


def canonical_json(value: Any) -> str:
    """The one text of a plain value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def current_revisions() -> Revisions:
    """Those of this code."""
    return zoo.REVISION, training.REVISION


def run_key(
    settings: RunSettings, dataset: str, dataset_version: str, seed: int, revisions: Revisions | None = None
) -> str:
    """The content key of a run: equal exactly where dataset, settings, seed and the code's meaning are equal.

    The code is that of now where no other `revisions` are given.
    """
    zoo_revision, training_revision = revisions or current_revisions()
    identity = settings.identity() | {
        "dataset": dataset,
        "dataset_version": dataset_version,
        "seed": seed,
        "zoo_revision": zoo_revision,
        "training_revision": training_revision,
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]
