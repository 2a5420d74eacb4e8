"""One contrast over several datasets: on all of them, on their average, and on datasets that are not among them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from benchmarks.analysis.estimates import CONFIDENCE
from benchmarks.analysis.verdicts import (
    Evidence,
    Obstacle,
    Unit,
    Verdict,
    Word,
    is_exact,
    planned_seeds,
    raised_by,
    verdict_of,
    with_tests,
)
from benchmarks.suite.claims import least_seeds

LEAST_DATASETS_FOR_AVERAGE = 2
LEAST_DATASETS_FOR_GENERALISING = 6


@dataclass(frozen=True)
class Combined:
    """A mean over datasets with its standard error and degrees of freedom."""

    mean: float
    error: float
    df: float
    spread: float = math.nan
    """Standard deviation between the datasets' true differences; NaN where it is not estimated."""

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Of the mean."""
        half = float(stats.t.isf((1 - confidence) / 2, self.df)) * self.error
        return self.mean - half, self.mean + half

    def prediction(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Where the true difference on a further dataset would lie (Higgins et al. 2009: t with k - 2)."""
        half = float(stats.t.isf((1 - confidence) / 2, self.df - 1)) * math.hypot(self.spread, self.error)
        return self.mean - half, self.mean + half


def average_of_datasets(means: Sequence[float], sds: Sequence[float], sizes: Sequence[int]) -> Combined:
    """The average over just these datasets, with the degrees of freedom of Welch and Satterthwaite.

    Args:
        means: of the differences on each dataset.
        sds: their standard deviations; at least one is above zero.
        sizes: the number of differences on each dataset, at least 2.
    """
    variances = np.square(sds) / np.array(sizes)
    df = variances.sum() ** 2 / (np.square(variances) / (np.array(sizes) - 1)).sum()
    return Combined(float(np.mean(means)), float(np.sqrt(variances.sum())) / len(means), float(df))


def generalised(means: Sequence[float], sds: Sequence[float], sizes: Sequence[int]) -> Combined:
    """The mean over datasets such as these: random effects by Paule and Mandel, t with k - 1 degrees of freedom.

    Args:
        means: of the differences on each dataset.
        sds: their standard deviations, all above zero.
        sizes: the number of differences on each dataset.
    """
    variances = np.square(sds) / np.array(sizes)
    # In units of the largest number, since statsmodels iterates to an absolute tolerance.
    unit = max(float(np.abs(means).max()), float(np.sqrt(variances.max())))
    # Where all datasets agree to the last bit, statsmodels divides by zero for a measure that is not used here.
    with np.errstate(divide="ignore"):
        found = combine_effects(np.array(means) / unit, variances / unit**2, method_re="iterated", use_t=True)
    return Combined(
        float(found.mean_effect_re) * unit,
        float(found.sd_eff_w_re) * unit,
        float(found.df_resid),
        math.sqrt(max(0.0, float(found.tau2))) * unit,
    )


def average_evidence(parts: Sequence[Evidence], family: int = 1) -> Evidence:
    """The evidence of a claim about the average of the named datasets.

    Signs are flipped of each seed's mean over the datasets: what the datasets truly differ in does not disturb it.

    Args:
        parts: the evidence on each dataset, all of one claim, with the same seeds.
        family: as for `evidence_of`.
    """
    sizes = sorted({part.n for part in parts})
    obstacle = _obstacle(parts, LEAST_DATASETS_FOR_AVERAGE)
    if not obstacle and len(sizes) > 1:
        obstacle = Obstacle("missing pair", f"the datasets have from {sizes[0]} to {sizes[-1]} pairs")
    if any(part.state != "interval" for part in parts):
        return _evidence(parts, "seeds", obstacle)
    found = average_of_datasets([part.mean for part in parts], [part.sd for part in parts], [part.n for part in parts])
    # Spread of the differences as if they came from one dataset.
    filled = _evidence(parts, "seeds", obstacle, found, found.error * math.sqrt(sizes[0]), family)
    if len(sizes) > 1:
        return filled
    seed_means = np.mean([part.differences for part in parts], axis=0)
    exact = is_exact(len(seed_means), filled.alpha)
    return with_tests(replace(filled, is_signflip_exact=exact), found.error, seed_means, family)


def generalised_evidence(parts: Sequence[Evidence], family: int = 1) -> Evidence:
    """The evidence of a claim about datasets such as these; the differences that count are one a dataset.

    Args:
        parts: the evidence on each dataset, all of one claim.
        family: as for `evidence_of`.
    """
    least = max(LEAST_DATASETS_FOR_GENERALISING, least_seeds(parts[0].alpha))
    obstacle = _obstacle(parts, least)
    if len(parts) < 3 or any(part.state != "interval" for part in parts):
        return _evidence(parts, "datasets", obstacle)
    means = [part.mean for part in parts]
    found = generalised(means, [part.sd for part in parts], [part.n for part in parts])
    filled = _evidence(parts, "datasets", obstacle, found, found.error * math.sqrt(len(parts)), family)
    low, high = found.prediction(1 - filled.alpha)
    filled = replace(filled, prediction_low=low, prediction_high=high)
    return with_tests(filled, found.error, np.array(means), family)


def p_of_all(parts: Collection[Evidence]) -> float:
    """The p of a claim about all datasets: the largest.

    Where a dataset speaks against the claim, it is the least p against it, times the number of datasets.
    """
    against = [part.tested.p for part in parts if _is_against(part)]
    if against:
        return min(1.0, len(parts) * min(against))
    return max(part.tested.p if part.tested.p_support <= 0.5 else 1.0 for part in parts)


def verdict_on_all(parts: Mapping[str, Evidence], p: float, adjusted_p: float) -> Verdict:
    """Refuted if any dataset refutes it, supported if all support it, each corrected as the p of the claim is.

    A pair that is missing anywhere comes first; a dataset of too few seeds keeps the claim from being supported, and
    from nothing else.

    Args:
        parts: dataset -> the evidence on it.
        p: what `p_of_all` gave.
        adjusted_p: the same, adjusted over all registered claims.
    """
    errors = [part.obstacle for part in parts.values() if part.obstacle and part.obstacle.kind in _ERRORS]
    if errors:
        return Verdict("inconclusive", errors[0].kind, errors[0].detail)
    by_holm = raised_by(p, adjusted_p)
    times = {name: by_holm * (len(parts) if _is_against(part) else 1) for name, part in parts.items()}
    found = {name: verdict_of(part, min(1.0, times[name] * part.tested.p)) for name, part in parts.items()}
    if refuting := _having("refuted", found):
        return Verdict("refuted", found[refuting[0]].kind, f"on {', '.join(refuting)}")
    # What a dataset says alone tells best why all together say nothing.
    own = {name: verdict_of(part, part.tested.p) for name, part in parts.items()}
    asked = _having("refuted", own) or _having("inconclusive", own) or list(own)
    if unsettled := [name for name in _having("inconclusive", found) if name in asked]:
        first = found[unsettled[0]]
        detail = "; ".join(part for part in (first.detail, f"on {', '.join(unsettled)}") if part)
        return Verdict("inconclusive", first.kind, detail)
    return Verdict("supported", next(iter(found.values())).kind, f"on each of {len(found)}")


def _having(word: Word, verdicts: Mapping[str, Verdict]) -> list[str]:
    return [name for name, verdict in verdicts.items() if verdict.word == word]


_ERRORS = ("missing pair", "not in the design", "no such metric", "unequal budget")


def _is_against(part: Evidence) -> bool:
    return part.obstacle is None and part.tested.p_support > 0.5


def _obstacle(parts: Sequence[Evidence], least: int) -> Obstacle | None:
    """The first obstacle of any dataset, missing pairs before all others, and then too few datasets."""
    found = [part.obstacle for part in parts if part.obstacle]
    found.sort(key=lambda each: each.kind not in ("not in the design", "missing pair"))
    if found:
        return found[0]
    return Obstacle("too few datasets", f"{len(parts)}<{least}") if len(parts) < least else None


_NOTHING = Combined(math.nan, math.nan, math.nan)


def _evidence(
    parts: Sequence[Evidence],
    unit: Unit,
    obstacle: Obstacle | None,
    found: Combined = _NOTHING,
    sd: float = math.nan,
    family: int = 1,
) -> Evidence:
    """The evidence of all datasets together, without its tests; without numbers where nothing was found."""
    kind, margin, alpha = parts[0].kind, parts[0].margin, parts[0].alpha
    n = sum(part.n for part in parts) if unit == "seeds" else len(parts)
    low, high = found.interval(1 - alpha)
    return Evidence(
        kind=kind,
        margin=margin,
        alpha=alpha,
        unit=unit,
        n_planned=sum(part.n_planned for part in parts) if unit == "seeds" else len(parts),
        n=n,
        state="no values" if found is _NOTHING else "interval",
        obstacle=obstacle,
        mean=found.mean,
        sd=sd,
        ci_low=low,
        ci_high=high,
        df=found.df,
        is_signflip_exact=parts[0].is_signflip_exact if found is _NOTHING else is_exact(n, alpha),
        seeds_needed=planned_seeds(found.mean, sd, margin, kind, alpha, family, unit),
    )
