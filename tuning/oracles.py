"""Keras Tuner's oracles as suggesters of points: they choose, and everything else of a search is done outside.

Only `populate_space` is called, which chooses the next values from `trials`, the record in memory. What Keras Tuner has
around it (`create_trial`, `end_trial`) takes locks that it keeps after an exception, holds every oracle in global
tables, writes files, retries, and gives up after three failures.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as KerasTunerTrial
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from tuning.parameters import text_of
from tuning.seeds import seed_for
from tuning.space import Point, Space

MOST_LISTED = 2_000
"""Of a finite space with at most so many points, all that are left are listed."""

CANDIDATES = 300
"""Of others, so many points drawn at random, and then those near the best of them."""

REFINEMENTS = (0.1, 0.02, 0.004)
"""How far around the best candidates new ones are drawn, in parts of each range."""


CUT_OFF = 2
"""How far beyond the middle of the scores bad ones are cut off, in distances of the middle from the best.

Of 1, 2, 3, 5, 10 and no cut, 2 did best on the seeds 1000 to 1019 of two objectives of `tests/tuning/test_search.py`:
on the smooth one the most against chance, and with losses of 1e12 in a fifth of the space about as often near the
optimum as with 1 (11 and 13 searches of 20), where without a cut none was.
"""


class Suggester(keras_tuner.Oracle):  # type: ignore[misc]
    """What is the same for all four: every point is fresh, and all randomness comes from the seed.

    The objective is a name and a direction, "min" or "max".
    """

    def __init__(self, space: Space, objective: tuple[str, str], seed: int, **options: Any):
        super().__init__(
            objective=keras_tuner.Objective(*objective),
            hyperparameters=options.pop("hyperparameters", None) or space.to_keras_tuner(),
            allow_new_entries=False,
            # Keras Tuner takes seed 0 for none, and draws with seed, seed + 1, ...: the searches with seeds 0, 1, 2
            # would share most of their points.
            seed=seed_for(seed, "points"),
            **options,
        )
        self.points = space
        self.search_seed = seed
        self.seen: set[str] = set()

    def suggest(self) -> tuple[str, Point, Mapping[str, Any]] | None:
        """Choose what to try next: its name here, the point, and all of Keras Tuner's values; None if there is none.

        What is chosen counts as being trained until `finish` is called with its name.
        """
        name = str(len(self.trials))
        response = self.populate_space(name)
        if response["status"] != "RUNNING":
            return None
        point = self.points.point_from(response["values"])
        # Keras Tuner may have rounded a value out of its range, so its own are replaced by those of the point.
        own = {key: value for key, value in response["values"].items() if key.startswith("tuner/")}
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = self.points.values_from(point) | own
        self.trials[name] = self.ongoing_trials[name] = KerasTunerTrial(hyperparameters, name, "RUNNING")
        self.start_order.append(name)
        self.seen.add(text_of(point))
        return name, point, own

    def finish(self, name: str, score: float) -> None:
        """Let a score count for what is suggested from now on."""
        self.ongoing_trials.pop(name, None)
        self.trials[name].status = "COMPLETED"
        self.trials[name].score = score

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers for the choice of the next point, the same however often the search was interrupted."""
        return np.random.default_rng(seed_for(self.search_seed, purpose, len(self.seen)))

    def _duplicate(self, values: dict[str, Any]) -> bool:
        return text_of(self.points.point_from(values)) in self.seen

    def _random_values(self) -> dict[str, Any] | None:
        """Fresh random values, or None where every point was tried.

        Keras Tuner draws until a point is fresh, and takes the space for exhausted after twenty that are not.
        """
        for _ in range(100):
            values: dict[str, Any] | None = super()._random_values()
            if values is not None:
                return values
            if self._is_listed:
                break
        if self.points.size is None:
            return None
        left = list(self._points_left() if self._is_listed else itertools.islice(self._points_left(), 1))
        return self.points.values_from(left[int(self.generator("left").integers(len(left)))]) if left else None

    @property
    def _is_listed(self) -> bool:
        """Whether the space has so few points that those that are left can be compared."""
        return self.points.size is not None and self.points.size <= MOST_LISTED

    def _points_left(self) -> Iterator[Point]:
        """The points of a finite space that were not tried, one after the other."""
        return (point for point in self.points.points() if text_of(point) not in self.seen)


class GridOracle(Suggester, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Every point once."""

    def __init__(self, space: Space, objective: tuple[str, str], seed: int):
        super().__init__(space, objective, seed, hyperparameters=space.to_keras_tuner(by_value=True))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Choose the combination that follows on the last one.

        Keras Tuner waits for the end of each trial before it goes on, in case that new settings turn up.
        """
        self._populate_next = self.start_order[-1:]
        response: dict[str, Any] = super().populate_space(trial_id)
        return response


class RandomOracle(Suggester, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Points at random, none twice."""


class BayesianOracle(Suggester, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """Random points first, then where a Gaussian process expects most: its lower confidence bound.

    Model, embedding of the points and the pessimistic guess for trials under way are Keras Tuner's. The search for the
    smallest bound is not: Keras Tuner starts fifty descents in the continuous embedding, which takes most of a second
    and ends up, after rounding, at points that were tried. Here the bound is computed at fresh points, as they are
    after rounding, many at once.
    """

    def __init__(self, space: Space, objective: tuple[str, str], seed: int, num_initial_points: int):
        super().__init__(space, objective, seed, num_initial_points=num_initial_points)
        # Keras Tuner starts twenty times to fit the only parameter of its kernel, a length scale.
        self.gpr.n_restarts_optimizer = 3

    def populate_space(self, _trial_id: str) -> dict[str, Any]:
        """Choose the fresh point with the smallest bound; at random where there is nothing to learn from yet."""
        if len(self.trials) < self.num_initial_points:
            response: dict[str, Any] = self._random_populate_space()
            return response
        # On matrices this small, threads would only wait for each other.
        with threadpool_limits(limits=1):
            return self._populate_by_model()

    def _populate_by_model(self) -> dict[str, Any]:
        vectors, scores = self._vectorize_trials()
        with warnings.catch_warnings():
            # A length scale at its bound is an answer: that parameter makes no difference so far.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.gpr.fit(vectors, _tamed(scores))
        point = self._best_fresh_point(vectors[np.argsort(scores, kind="stable")[:5]])
        if point is None:
            return {"status": "STOPPED", "values": None}
        return {"status": "RUNNING", "values": self.points.values_from(point)}

    def _best_fresh_point(self, best_vectors: np.ndarray[Any, Any]) -> Point | None:
        generator = self.generator("candidates")
        if self._is_listed:
            left = list(self._points_left())
            return self._ranked(left)[0][0] if left else None
        drawn = self._ranked([self.points.sample(generator) for _ in range(CANDIDATES)])
        ranked = drawn
        for spread in REFINEMENTS:
            centres = [vector for _, vector in ranked[:5]]
            centres += list(best_vectors) if spread == REFINEMENTS[0] else []
            moved = [
                np.clip(centre + spread * generator.standard_normal(len(centre)), 0, 1)
                for centre, _ in itertools.product(centres, range(20))
            ]
            near = [self.points.point_from(self._all_values(vector)) for vector in moved]
            ranked = self._ranked([*(point for point, _ in ranked[:5]), *near])
        fresh = [point for point, _ in ranked + drawn if text_of(point) not in self.seen]
        if fresh:
            return fresh[0]
        values = self._random_values()
        return None if values is None else self.points.point_from(values)

    def _ranked(self, points: list[Point]) -> list[tuple[Point, np.ndarray[Any, Any]]]:
        """Points with their vectors, the smallest bound first."""
        vectors = np.array([self._vector(self.points.values_from(point)) for point in points])
        mean, deviation = self.gpr.predict(vectors, return_std=True)
        order = np.argsort(mean - self.beta * deviation, kind="stable")
        return [(points[index], vectors[index]) for index in order]

    def _vector(self, values: Mapping[str, Any]) -> list[float]:
        """Where a point lies in the unit cube; parameters without a value are at their default, as in Keras Tuner."""
        return [each.value_to_prob(values.get(each.name, each.default)) for each in self.hyperparameters.space]

    def _all_values(self, vector: np.ndarray[Any, Any]) -> dict[str, Any]:
        space = self.hyperparameters.space
        return {each.name: each.prob_to_value(float(place)) for each, place in zip(space, vector, strict=True)}


def _tamed(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scores to minimize, with bad ones cut off: else a loss that nearly diverged hides all other differences."""
    best, middle = np.min(scores), np.median(scores)
    return np.minimum(scores, middle + CUT_OFF * (middle - best)) if middle > best else scores


class HyperbandOracle(Suggester, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Many short trainings, the best of which are continued, in several brackets.

    Keras Tuner promotes the best of those that have ended as soon as there are enough of them, so that what is trained
    depends on which ends first. Here a whole rung is finished at once, by the caller.
    """

    def __init__(
        self, space: Space, objective: tuple[str, str], seed: int, max_epochs: int, factor: int, settings: int
    ):
        self.settings = settings
        super().__init__(space, objective, seed, max_epochs=max_epochs, factor=factor, hyperband_iterations=None)

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        if len(self.seen) == self.settings:
            return {"status": "IDLE"}
        response: dict[str, Any] = super()._random_trial(trial_id, bracket)
        return response


ORACLES: dict[str, Callable[..., Suggester]] = {
    "grid": GridOracle,
    "random": RandomOracle,
    "bayesian": BayesianOracle,
    "hyperband": HyperbandOracle,
}
