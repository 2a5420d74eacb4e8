"""What is wrong with a suite beyond the types of its keys; known before anything is expanded or trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.labels import level_label
from benchmarks.metrics import ALL_TASKS, CLASS_TASKS, METRICS, OUTCOME_METRICS
from benchmarks.runs import LARGEST_SEED
from benchmarks.settings.data import OF_WHOLE_SUITE, DataConfig
from benchmarks.settings.run import SECTIONS, Changes, setting_paths, settings_from, unknown_setting
from benchmarks.suite.claims import LEAST_DATASETS, Analysis, Assignment, Claim
from benchmarks.suite.design import DESIGNS, FROM_BASELINE, SAMPLE_EXAMPLE, TWO_LEVEL_DESIGNS, Design
from benchmarks.suite.format import LONGEST_NAME, MOST_SEEDS, Factor, SuiteFormat
from benchmarks.suite.search import Tuned
from benchmarks.suite.search_checks import level_search_problems, path_problems, search_problems
from benchmarks.tasks import Task
from zoo.settings import Problem, SettingError, as_written, dotted, nearest, unknown

TASKS_OF_EMBEDDED: dict[str, Task] = {
    "digits": "classification",
    "shapes": "classification",
    "spirals": "classification",
    "wine": "classification",
    "breast_cancer": "binary",
    "diabetes": "regression",
}
"""What is to be learned from the datasets that are known without a look at their files."""


def known_task(dataset: str, asked: str) -> Task | None:
    """The task of a dataset, of two classes that of several; None where it is known by its files alone.

    Args:
        dataset: its name in a suite.
        asked: what `data.task` says.
    """
    if asked == "by_target":
        return TASKS_OF_EMBEDDED.get(dataset.partition(":")[0])
    return "regression" if asked == "regression" else "classification"


def problems_of(suite: SuiteFormat) -> Iterable[Problem]:
    """Find what is wrong with a suite whose keys are of the right types; nothing is expanded."""
    yield from _repeated("datasets", suite.datasets)
    seeds = [*_seed_problems(suite.seeds)]
    yield from seeds
    design = [*_design_problems(suite.design)]
    yield from design
    shape = [problem for name, levels in suite.factors.items() for problem in _shape_problems(name, levels)]
    yield from shape
    if shape:
        return
    settings = [*_level_problems(suite, None, {})]
    settings = settings or [problem for factor in suite.factor_list for problem in _factor_problems(suite, factor)]
    yield from settings
    if settings:
        return
    yield from _double_problems(suite)
    yield from _assignment_problems(suite, ("baseline",), suite.baseline)
    for key, assignments in (("exclude", suite.exclude), ("include", suite.include)):
        for index, assignment in enumerate(assignments):
            if not assignment:
                yield Problem(dotted((key, index)), "an empty cell", "{}", "at least one factor with a level")
            yield from _assignment_problems(suite, (key, index), assignment)
    if not design:
        yield from _unfit_problems(suite)
    for index, claim in enumerate(suite.claims):
        yield from _claim_problems(suite, ("claims", index), claim)
    yield from level_search_problems(suite)
    for index, tuned in enumerate(suite.tuned):
        yield from _tuned_problems(suite, ("tuned", index), tuned)
    if not seeds:
        yield from _registration_problems(suite)
        tasks = {dataset: _possible_tasks(suite, dataset) for dataset in suite.datasets}
        if suite.search:
            yield from search_problems(suite, suite.search, tasks)
        if not design and suite.chosen_design.objective:
            yield from path_problems(suite, suite.chosen_design.objective, tasks)


def _design_problems(given: object) -> Iterable[Problem]:
    if isinstance(given, str) and given not in DESIGNS:
        yield unknown("design", "design", given, DESIGNS)
    elif isinstance(given, str | dict):
        try:
            Design(**(given if isinstance(given, dict) else {"name": given}))
        except SettingError as error:
            yield from error.below("design").problems
    else:
        yield Problem(
            "design", "wrong type", as_written(given), f"a name in quotes, or a table such as {SAMPLE_EXAMPLE}"
        )


def _unfit_problems(suite: SuiteFormat) -> Iterable[Problem]:
    """What of factors, baseline and cells does not go with the design."""
    design = suite.chosen_design
    numbers = {name: len(levels) for name, levels in suite.factors.items()}
    if design.name in TWO_LEVEL_DESIGNS and not design.objective:
        for name, number in numbers.items():
            if number != 2:
                message = f"the design {design.name} takes factors of two levels"
                yield Problem(dotted(("factors", name)), message, f"{number} levels", "two levels")
    if design.name in FROM_BASELINE:
        left = [name for name in suite.factors if name not in suite.baseline]
        if left:
            message = f"the design {design.name} sets out from a baseline that names the level of every factor"
            allowed = ", ".join(suite.factors)
            yield Problem("baseline", message, ", ".join(suite.baseline) or "no factor", allowed)
    if design.name == "paired":
        first, length = next(iter(numbers.items()))
        for name, number in numbers.items():
            if number != length:
                message = "the design paired takes factors of equally many levels"
                yield Problem(dotted(("factors", name)), message, f"{number} levels", f"{length}, as {first} has")
    if design.name == "fractional":
        if len(numbers) < design.resolution:
            message = f"a fraction of resolution {design.resolution} has every combination of so few factors"
            allowed = f"at least {design.resolution} factors, or the design factorial"
            yield Problem("factors", message, str(len(numbers)), allowed)
        if suite.exclude:
            message = "a fraction without some of its cells estimates nothing that it is made for"
            yield Problem("exclude", message, f"{len(suite.exclude)} patterns", "no pattern, or another design")
    if design.cells is not None and design.cells >= math.prod(numbers.values()):
        all_cells = math.prod(numbers.values())
        allowed = f"fewer than the {all_cells:,} that there are, or the design factorial"
        yield Problem("design.cells", "a sample of everything", f"{design.cells:,}", allowed)
    if design.order:
        yield from _order_problems(design.order, suite.factors)


def _order_problems(order: list[str], factors: Mapping[str, Any]) -> Iterable[Problem]:
    for index, name in enumerate(order):
        if name not in factors:
            yield unknown(dotted(("design", "order", index)), "factor", name, factors)
    yield from _repeated("design.order", order)
    left = [name for name in factors if name not in order]
    if left:
        yield Problem("design.order", "a factor is left out", as_written(order), "with " + ", ".join(left))


def _claim_problems(suite: SuiteFormat, place: tuple[str | int, ...], claim: Claim) -> Iterable[Problem]:
    yield from _metric_problems(suite, place, claim)
    least = LEAST_DATASETS[claim.datasets]
    if len(suite.datasets) < least:
        message = f"too few datasets for that: the suite has {len(suite.datasets)} and {least} are needed"
        allowed = ", ".join(name for name, number in LEAST_DATASETS.items() if number <= len(suite.datasets))
        yield Problem(dotted((*place, "datasets")), message, claim.datasets, allowed)
    if claim.factor not in suite.factors:
        yield unknown(dotted((*place, "factor")), "factor", claim.factor, suite.factors)
        return
    levels = suite.factors[claim.factor]
    wrong = [
        problem
        for key in ("better", "than")
        if (problem := _level_problem(dotted((*place, key)), getattr(claim, key), levels))
    ]
    yield from wrong
    if not wrong and level_label(claim.better) == level_label(claim.than):
        others = ", ".join(label for label in map(level_label, levels) if label != level_label(claim.better))
        path = dotted((*place, "than"))
        yield Problem(path, "a level is compared with itself", level_label(claim.than), others)
    if claim.factor in claim.where:
        others = ", ".join(name for name in suite.factors if name != claim.factor)
        path = dotted((*place, "where", claim.factor))
        yield Problem(path, "this is the factor of the claim itself", claim.factor, others or "no factor: leave it out")
    where = {name: level for name, level in claim.where.items() if name != claim.factor}
    yield from _assignment_problems(suite, (*place, "where"), where)


def _tuned_problems(suite: SuiteFormat, place: tuple[str | int, ...], tuned: Tuned) -> Iterable[Problem]:
    if tuned.dataset is not None and tuned.dataset not in suite.datasets:
        yield unknown(dotted((*place, "dataset")), "dataset of the suite", tuned.dataset, suite.datasets)
    yield from _assignment_problems(suite, (*place, "where"), tuned.where)
    for path in tuned.settings:
        where = dotted((*place, "settings", path))
        if path not in setting_paths():
            yield unknown_setting(where, path)
        elif path in suite.varied:
            yield Problem(where, "a factor changes it: a setting is varied or tuned", path, "settings of no factor")


def _metric_problems(suite: SuiteFormat, place: tuple[str | int, ...], claim: Claim) -> Iterable[Problem]:
    """Only what is known of the datasets without a look at them can be wrong here."""
    if claim.metric and claim.metric.startswith("val_"):
        default = DataConfig.model_fields["validation_fraction"].default
        if not any(_values_of(suite, "data.validation_fraction", default)):
            message = "there is no validation part: data.validation_fraction is 0"
            yield Problem(dotted((*place, "metric")), message, claim.metric, "a metric of the test split")
    tasks = {dataset: _possible_tasks(suite, dataset) for dataset in suite.datasets}
    for dataset, possible in tasks.items():
        if claim.metric and not possible & set(METRICS[claim.metric].tasks):
            having = [name for name, metric in METRICS.items() if possible & set(metric.tasks)]
            message = f"{dataset} is a {' or '.join(sorted(possible))}, which does not have this metric"
            closest = nearest(claim.metric, having)
            yield Problem(dotted((*place, "metric")), message, claim.metric, ", ".join(having), closest)
    outcomes = [{OUTCOME_METRICS[task] for task in possible} for possible in tasks.values()]
    if not claim.metric and not set.intersection(*outcomes):
        message = "one margin for different metrics: the datasets are of different tasks"
        shared = ", ".join(name for name, metric in METRICS.items() if metric.tasks == ALL_TASKS)
        yield Problem(dotted((*place, "metric")), message, "none", f"{shared}; or a suite for each task")


def _possible_tasks(suite: SuiteFormat, dataset: str) -> set[Task]:
    name, asked = dataset.partition(":")[0], suite.reading.task
    if asked != "by_target":
        return {"regression"} if asked == "regression" else set(CLASS_TASKS)
    if name in TASKS_OF_EMBEDDED:
        return {TASKS_OF_EMBEDDED[name]}
    losses = _values_of(suite, "train.loss", "by_task")
    return {
        task
        for task in ALL_TASKS
        for loss in losses
        if loss == "by_task" or (loss == "cross_entropy") == (task in CLASS_TASKS)
    }


def _values_of(suite: SuiteFormat, path: str, default: object) -> list[Any]:
    """What a setting can be in some cell."""
    changed = [changes[path] for changes in suite.level_changes if path in changes]
    return [suite.base.get(path, default), *changed]


def _registration_problems(suite: SuiteFormat) -> Iterable[Problem]:
    """What is wrong with the claims taken together."""
    statements = [claim.statement for claim in suite.claims]
    for index, statement in enumerate(statements):
        if statement in statements[:index]:
            yield Problem(dotted(("claims", index, "statement")), "given twice", as_written(statement), "other words")
    looks, number = suite.analysis.looks, len(suite.seed_list)
    if not suite.claims and suite.analysis != Analysis():
        yield Problem("analysis", "no effect without claims", as_written(suite.analysis.differing_from_default()))
    elif looks and number not in looks:
        message = f"the suite has {number} seeds, at which no look is declared"
        yield Problem("analysis.looks", message, as_written(looks), f"with {number}, or as many seeds as at a look")


def _seed_problems(seeds: object) -> Iterable[Problem]:
    allowed = f"whole numbers from 0 to {LARGEST_SEED:,}"
    if isinstance(seeds, list) and seeds:
        for index, seed in enumerate(seeds):
            if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
                message = "a seed too large" if type(seed) is int and seed > 0 else "no seed"
                yield Problem(f"seeds[{index}]", message, as_written(seed), allowed)
        yield from _repeated("seeds", seeds)
    elif isinstance(seeds, list) or type(seeds) is not int or not 1 <= seeds <= MOST_SEEDS:
        message = "no list of seeds" if isinstance(seeds, list) else "no number of seeds"
        allowed = f"a number of seeds from 1 to {MOST_SEEDS:,}, or a list of different {allowed}"
        yield Problem("seeds", message, as_written(seeds), allowed)


def _shape_problems(name: str, levels: object) -> Iterable[Problem]:
    place = dotted(("factors", name))
    for text in (name, *(levels if isinstance(levels, dict) else ())):
        if len(text) > LONGEST_NAME:
            message = "a name too long for tables, files and trackers"
            yield Problem(_cut_off(place), message, f"{len(text)} letters", f"at most {LONGEST_NAME}")
            return
    if isinstance(levels, dict):
        for label, bundle in levels.items():
            if not isinstance(bundle, dict) or not bundle:
                allowed = 'settings, such as { "train.optimizer" = "sgd" }'
                path = dotted(("factors", name, label))
                wrong = Problem(path, "no bundle of settings", as_written(bundle), allowed)
                yield _unquoted(path, name, {label: bundle}) or wrong
                continue
            for section, inner in bundle.items():
                hint = _unquoted(dotted(("factors", name, label, section)), section, inner)
                if hint:
                    yield hint
    elif isinstance(levels, list):
        if name not in setting_paths():
            yield unknown_setting(place, name)
        yield from _repeated(place, [level_label(level) for level in levels])
    else:
        yield Problem(place, "no factor", as_written(levels), "a list of levels, or a table of named bundles")
        return
    if len(levels) < 2:
        given = "1 level" if levels else "no level"
        yield Problem(place, "a factor with fewer than two levels varies nothing", given, "at least two levels")


def _cut_off(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def _repeated(path: str, values: list[Any]) -> Iterable[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem(f"{path}[{index}]", "given twice", level_label(value))


def _factor_problems(suite: SuiteFormat, factor: Factor) -> Iterable[Problem]:
    for path in (path for path in factor.paths if path in OF_WHOLE_SUITE):
        message = f"{path} is the same in all cells, which are trained and tested on the same examples"
        yield Problem(dotted(("factors", factor.name)), message, allowed=f"[data] {path.removeprefix('data.')} = ...")
    is_bundle = isinstance(suite.factors[factor.name], dict)
    for index, (label, changes) in enumerate(factor.levels.items()):
        place = dotted(("factors", factor.name, label if is_bundle else index))
        for problem in _level_problems(suite, factor, changes):
            path = place if problem.path == factor.name else f"{place}: {problem.path}"
            yield Problem(path, problem.message, problem.given, problem.allowed, problem.nearest)


_SURROUNDINGS_TRIED = 256


def _level_problems(suite: SuiteFormat, factor: Factor | None, changes: Changes) -> Iterable[Problem]:
    """What is wrong with a level whatever the other factors are; what clashes in some cells only is found there."""
    refusals = []
    for others in itertools.islice(_combined_levels(suite, leave_out=factor), _SURROUNDINGS_TRIED):
        for base in suite.bases:
            try:
                settings_from(base | others | dict(changes))
                return []
            except SettingError as error:
                refusals.append(error.problems)
    return refusals[0]


def _combined_levels(suite: SuiteFormat, leave_out: Factor | None) -> Iterator[dict[str, Any]]:
    """No level at all, then the changes that the levels of all other factors make together."""
    yield {}
    levels = [factor.levels.values() for factor in suite.factor_list if factor != leave_out]
    for combination in itertools.product(*levels):
        yield {path: value for changes in combination for path, value in changes.items()}


def _double_problems(suite: SuiteFormat) -> Iterable[Problem]:
    """A setting that two factors change would have the level of one and the name of the other."""
    owner: dict[str, str] = {}
    for factor in suite.factor_list:
        for path in factor.paths:
            if owner.setdefault(path, factor.name) != factor.name:
                message = f"two factors change {path}, which the factor {owner[path]!r} changes already"
                yield Problem(dotted(("factors", factor.name)), message, path, "settings of its own")


def _unquoted(path: str, name: str, inner: object) -> Problem | None:
    """The commonest slip: a dot outside quotes makes a table in TOML and no name with a dot."""
    if name in SECTIONS and isinstance(inner, dict):
        meant = f"{name}.{next(iter(inner), '')}"
        return Problem(path, "a setting's name needs quotes here", meant, f'"{meant}"')
    return None


def is_among(value: object, values: Iterable[object]) -> bool:
    """Whether a value is one of these: true equals 1 for Python, and is another value."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def _assignment_problems(suite: SuiteFormat, place: tuple[str | int, ...], assignment: Assignment) -> Iterable[Problem]:
    factors = {factor.name: factor for factor in suite.factor_list}
    for name, level in assignment.items():
        path = dotted((*place, name))
        if name not in factors:
            yield _unquoted(path, name, level) or unknown(path, "factor", name, factors)
        elif problem := _level_problem(path, level, suite.factors[name]):
            yield problem


def _level_problem(path: str, level: object, levels: Any) -> Problem | None:
    if is_among(level, levels):
        return None
    labels = [level_label(other) for other in levels]
    # Quotes are shown where they make the difference.
    shown = as_written if level_label(level) in labels else level_label
    allowed = ", ".join(shown(other) for other in levels)
    return Problem(path, "no such level of this factor", shown(level), allowed, nearest(level_label(level), labels))
