"""Arrays and tensors, as the types that signatures name."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
"""An array of NumPy; docstrings say its shape."""

Tensor: TypeAlias = Any
"""A tensor of TensorFlow, which ships no types; docstrings say its shape, in which `slots` come first."""
