"""Optimizers as their sources print them, in NumPy and double precision.

Each takes the gradient of step t, counted from 1, the weights and what it keeps from step to step, and gives the
weights after it. Rates and coefficients have the names of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = Any
"""Of numbers in double precision, all of the weights' shape."""
State = dict[str, Any]
Coefficients = dict[str, Any]
Step = Callable[[Array, Array, int, State, Coefficients], Array]


def sgd(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Robbins & Monro 1951."""
    return w - c["learning_rate"] * g


def momentum(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Polyak 1964 as in Sutskever et al. 2013, equations 1 and 2; torch.optim.SGD; a moving average."""
    rate, mu, v = c["learning_rate"], c["momentum"], state.get("v", 0.0)
    if c["momentum_form"] == "rate_inside":
        state["v"] = mu * v - rate * g
        return w + state["v"]
    state["v"] = mu * v + (1 - mu if c["momentum_form"] == "average" else 1.0) * g
    return w - rate * state["v"]


def nesterov(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Sutskever et al. 2013, equations 3 and 4, seen from the point where the gradient is taken; torch.optim.SGD."""
    rate, mu, v = c["learning_rate"], c["momentum"], state.get("v", 0.0)
    if c["momentum_form"] == "rate_inside":
        state["v"] = mu * v - rate * g
        return w + mu * state["v"] - rate * g
    share = 1 - mu if c["momentum_form"] == "average" else 1.0
    state["v"] = mu * v + share * g
    return w - rate * (share * g + mu * state["v"])


def adagrad(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Duchi, Hazan & Singer 2011, figure 1, with diagonal matrices; torch.optim.Adagrad."""
    state["s"] = state.get("s", 0.0) + g**2
    return w - c["learning_rate"] * g / (np.sqrt(state["s"]) + c["optimizer_epsilon"])


def adadelta(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Zeiler 2012, algorithm 1, with a rate; torch.optim.Adadelta."""
    rho, epsilon = c["squared_decay"], c["optimizer_epsilon"]
    state["g2"] = rho * state.get("g2", 0.0) + (1 - rho) * g**2
    step = -np.sqrt(state.get("x2", 0.0) + epsilon) / np.sqrt(state["g2"] + epsilon) * g
    state["x2"] = rho * state.get("x2", 0.0) + (1 - rho) * step**2
    return w + c["learning_rate"] * step


def rmsprop(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Tieleman & Hinton 2012, lecture 6e, slide 29; torch.optim.RMSprop."""
    rho = c["squared_decay"]
    state["g2"] = rho * state.get("g2", 0.0) + (1 - rho) * g**2
    step = c["learning_rate"] * g / (np.sqrt(state["g2"]) + c["optimizer_epsilon"])
    state["v"] = c["momentum"] * state.get("v", 0.0) + step
    return w - state["v"]


def _moments(g: Array, t: int, state: State, c: Coefficients) -> tuple[Array, Array]:
    b1, b2 = c["beta_1"], c["beta_2"]
    state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
    state["u"] = b2 * state.get("u", 0.0) + (1 - b2) * g**2
    return state["m"] / (1 - b1**t), state["u"] / (1 - b2**t)


def adam(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Kingma & Ba 2015, algorithm 1; torch.optim.Adam."""
    m, u = _moments(g, t, state, c)
    return w - c["learning_rate"] * m / (np.sqrt(u) + c["optimizer_epsilon"])


def nadam(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Dozat 2016; torch.optim.NAdam."""
    now, following = (c["beta_1"] * (1 - 0.5 * 0.96 ** (0.004 * each)) for each in (t, t + 1))
    state["product"] = state.get("product", 1.0) * now
    _, u = _moments(g, t, state, c)
    m = following * state["m"] / (1 - state["product"] * following) + (1 - now) * g / (1 - state["product"])
    return w - c["learning_rate"] * m / (np.sqrt(u) + c["optimizer_epsilon"])


def adamax(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Kingma & Ba 2015, algorithm 2, with an epsilon for gradients of 0."""
    b1, b2 = c["beta_1"], c["beta_2"]
    state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
    state["u"] = np.maximum(b2 * state.get("u", 0.0), np.abs(g))
    return w - c["learning_rate"] / (1 - b1**t) * state["m"] / (state["u"] + c["optimizer_epsilon"])


def lion(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Chen et al. 2023, program 1."""
    m = state.get("m", np.zeros_like(w))
    step = np.sign(c["beta_1"] * m + (1 - c["beta_1"]) * g)
    state["m"] = c["beta_2"] * m + (1 - c["beta_2"]) * g
    return w - c["learning_rate"] * step


def lamb(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """You et al. 2020, algorithm 2, of one layer, with the identity for its function phi."""
    m, u = _moments(g, t, state, c)
    step = m / (np.sqrt(u) + c["optimizer_epsilon"]) + c["weight_decay"] * w
    weight, length = np.linalg.norm(w), np.linalg.norm(step)
    return w - c["learning_rate"] * (weight / length if weight and length else 1.0) * step


def muon(g: Array, w: Array, t: int, state: State, c: Coefficients) -> Array:
    """Jordan et al. 2024 of one hidden layer, its step as large as AdamW's (Liu et al. 2025, equation 4)."""
    mu = c["momentum"]
    state["v"] = mu * state.get("v", 0.0) + g
    x = g + mu * state["v"]
    x = x.T if x.shape[0] > x.shape[1] else x
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        product = x @ x.T
        x = 3.4445 * x + (-4.7750 * product + 2.0315 * product @ product) @ x
    x = x.T if w.shape[0] > w.shape[1] else x
    return w - c["learning_rate"] * 0.2 * np.sqrt(max(w.shape)) * x


REFERENCES: dict[str, Step] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,
    "nadam": nadam,
    "adamax": adamax,
    "lion": lion,
    "lamb": lamb,
    "muon": muon,
}
"""Optimizer -> its step, without the weight decay that is taken beside it."""


def trajectory(name: str, weights: Array, gradients: Sequence[Array], coefficients: Coefficients) -> list[Array]:
    """The weights after each step of an optimizer along given gradients."""
    state: State = {}
    found = []
    for step, gradient in enumerate(gradients, start=1):
        weights = REFERENCES[name](gradient, weights, step, state, coefficients)
        found.append(weights)
    return found
