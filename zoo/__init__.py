"""Canonical networks as plain Keras models, each textbook setting one word away.

    >>> import zoo
    >>> model = zoo.create_model("resnet20", activation="gelu", seed=0)

Listing models and making configs needs no Keras; it is imported when the first model is built.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from zoo.config import InputShape, ModelConfig
from zoo.families import FAMILIES, LeNetConfig, MLPConfig, ResNetConfig
from zoo.heads import HEADS
from zoo.settings import SettingError
from zoo.variants import VARIANTS, Variant, list_models, model_config

if TYPE_CHECKING:
    __version__: str
    from zoo.audit import Audit, audit_model, count_macs
    from zoo.build import build_model, count_parameters, create_model, initial_values, load_model
    from zoo.standardization import with_standardization

REVISION = 3
"""Raised whenever a config comes to mean another network, so that results of the old one are not reused."""

_NEEDS_KERAS = {
    "Audit": "zoo.audit",
    "audit_model": "zoo.audit",
    "build_model": "zoo.build",
    "count_macs": "zoo.audit",
    "count_parameters": "zoo.build",
    "create_model": "zoo.build",
    "initial_values": "zoo.build",
    "load_model": "zoo.build",
    "with_standardization": "zoo.standardization",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("ablation-zoo")
    if name in _NEEDS_KERAS:
        return getattr(importlib.import_module(_NEEDS_KERAS[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "FAMILIES",
    "HEADS",
    "REVISION",
    "VARIANTS",
    "Audit",
    "InputShape",
    "LeNetConfig",
    "MLPConfig",
    "ModelConfig",
    "ResNetConfig",
    "SettingError",
    "Variant",
    "__version__",
    "audit_model",
    "build_model",
    "count_macs",
    "count_parameters",
    "create_model",
    "initial_values",
    "list_models",
    "load_model",
    "model_config",
    "with_standardization",
]
