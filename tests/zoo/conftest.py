"""What several test files of the zoo need."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def randomize():
    """Give a function that fills a model with arbitrary weights: gains, offsets and moving statistics too.

    Freshly built models have offsets of zero and gains of one, which hide a term that is missing or misplaced.
    """

    def fill(model, seed=0):
        generator = np.random.default_rng(seed)
        for variable in model.variables:
            kind = variable.path.rsplit("/", 1)[-1]
            shape = tuple(variable.shape)
            if kind == "kernel":
                scale = 1 / np.sqrt(np.prod(shape[:-1]))
                variable.assign(generator.normal(scale=scale, size=shape))
            elif kind in ("bias", "beta", "moving_mean"):
                variable.assign(generator.normal(scale=0.5, size=shape))
            elif kind in ("gamma", "moving_variance", "scale", "alpha"):
                variable.assign(generator.uniform(0.5, 2.0, size=shape))
            else:
                assert kind == "seed_generator_state", f"a new kind of variable: {variable.path}"
        return model

    return fill
