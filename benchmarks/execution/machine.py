"""Machine: facts of it, and of the software that ran something."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")

_PACKAGES = ("ablation-zoo", "tensorflow", "keras", "tensorflow-datasets", "numpy")


def machine_facts() -> dict[str, Any]:
    """What may matter to a result or its duration; nothing that names the machine or its owner."""
    gpus = _gpus()
    return {
        "processor": _processor(),
        **({"gpu": gpus} if gpus else {}),
        "logical_cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> str:
    """The models of the GPUs that may be used, as their driver tells them: TensorFlow is not asked for it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ""
    lines = [line for file in _NVIDIA_GPUS.glob("*/information") for line in file.read_text().splitlines()]
    return ", ".join(sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model:")}))
