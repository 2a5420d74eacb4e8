"""How often verdicts are wrong, and how often they come, on made-up differences whose truth is known.

    python -m tools.error_rates --repeats 2000

Every verdict is that of `evidence_of` and `verdict_of`. Most samples of no effect have a p above alpha, which decides
for itself; these are told by the t test alone, all at once.

Where neither arm has an effect, the arms can be exchanged, and their paired differences are symmetric however skewed
each arm is. Skewed differences with a mean of zero are the harder case: an effect that is there, and cancels out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.analysis.datasets import p_of_all, verdict_on_all
from benchmarks.analysis.power import MOST_SEEDS, promised_power, seeds_needed
from benchmarks.analysis.verdicts import ALPHA, Verdict, Word, evidence_of, holm, tested_against, verdict_of
from benchmarks.suite.claims import CLAIM_KINDS, ClaimKind

SIZES = (6, 8, 10, 14, 20)
MANY = 10
"""Datasets, or claims."""

SIZES_OF_MANY = (6, 10)

LOOKS = ((7, 14), (8, 16, 20), (8, 12, 16, 20))
"""Numbers of seeds at which there are looks, one suite each."""

EFFECTS = (1.8, 1.6, 1.2, 1.0, 0.7, 0.5)
"""Distances from the margin, in standard deviations, for which seeds are planned."""

_LOG_SPREAD = 1.0
_LOG_MEAN = float(np.exp(_LOG_SPREAD**2 / 2))
_LOG_SD = float(np.sqrt(np.exp(_LOG_SPREAD**2) - 1) * _LOG_MEAN)

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _between_arms(draw: Draw) -> Draw:
    """Differences between two arms that are drawn in the same way."""
    return lambda random, shape: (draw(random, shape) - draw(random, shape)) / np.sqrt(2)


def _exponential(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return random.exponential(size=shape) - 1


def _lognormal(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (random.lognormal(0, _LOG_SPREAD, shape) - _LOG_MEAN) / _LOG_SD


DISTRIBUTIONS: Mapping[str, Draw] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "between exponential arms": _between_arms(_exponential),
    "between lognormal arms": _between_arms(_lognormal),
    "gamma (skewness 1.4)": lambda random, shape: (random.gamma(2, size=shape) - 2) / np.sqrt(2),
    "exponential (skewness 2)": _exponential,
    "lognormal (skewness 6)": _lognormal,
}
"""Name -> differences of mean 0 and standard deviation 1; the skewed ones have their long tail above."""


@dataclass(frozen=True)
class Rate:
    """How often something happened."""

    count: int
    repeats: int

    @property
    def share(self) -> float:
        """Of all repeats."""
        return self.count / self.repeats

    @property
    def interval(self) -> tuple[float, float]:
        """The exact binomial interval of the share."""
        found = stats.binomtest(self.count, self.repeats).proportion_ci(method="exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        """The share with its interval, in per cent."""
        low, high = self.interval
        return f"{100 * self.share:5.1f} ({100 * low:4.1f} to {100 * high:4.1f})"


def verdicts_on(samples: np.ndarray, margin: float, kind: ClaimKind, alpha: float = ALPHA) -> list[Word]:
    """The verdict on each row of differences, as if it were the only claim."""
    words: list[Word] = ["inconclusive"] * len(samples)
    for row in np.flatnonzero(_largest_p(samples, margin, kind) < alpha):
        evidence = evidence_of(samples[row], margin, kind, alpha)
        words[row] = verdict_of(evidence, evidence.tested.p).word
    return words


def _largest_p(samples: np.ndarray, margin: float, kind: ClaimKind) -> np.ndarray:
    """The two-sided p of each sample that a verdict needs below alpha: the interval must be clear of each margin."""
    margins = {"superiority": (margin,), "non_inferiority": (-margin,), "equivalence": (margin, -margin)}[kind]
    return np.asarray(np.max([stats.ttest_1samp(samples, each, axis=-1).pvalue for each in margins], axis=0))


def false_positives(distribution: str, n: int, kind: ClaimKind, repeats: int, seed: int = 0) -> dict[str, Rate]:
    """Wrong verdicts where there is no effect, or, for equivalence, where the difference is just the margin.

    Returns:
        Verdict -> how often it was given. For superiority with margin 0 both are wrong; for equivalence, "supported".
    """
    random = np.random.default_rng([seed, n, list(CLAIM_KINDS).index(kind)])
    margin = 0.0 if kind == "superiority" else 1.0
    samples = DISTRIBUTIONS[distribution](random, (repeats, n)) + margin
    counts = Counter(verdicts_on(samples, margin, kind))
    return {word: Rate(counts[word], repeats) for word in ("supported", "refuted")}


def false_positives_over_looks(
    distribution: str, looks: Sequence[int], repeats: int, seed: int = 0, alpha: float = ALPHA
) -> Rate:
    """How often any look gives a verdict on a superiority of margin 0 where there is no effect.

    Alpha is divided evenly among the looks, and each has all the seeds of those before it.
    """
    random = np.random.default_rng([seed, *looks])
    samples = DISTRIBUTIONS[distribution](random, (repeats, looks[-1]))
    words = [verdicts_on(samples[:, :number], 0.0, "superiority", alpha / len(looks)) for number in looks]
    return Rate(sum(set(of_sample) != {"inconclusive"} for of_sample in zip(*words, strict=True)), repeats)


# What no p of a t test can decide is left out, as above.


def false_positives_on_all(distribution: str, n: int, n_datasets: int, repeats: int, seed: int = 0) -> dict[str, Rate]:
    """Wrong verdicts on a superiority of margin 0 on all datasets, where there is no effect on any of them.

    Returns:
        Verdict -> how often it was given; both are wrong.
    """
    samples = _several(distribution, n, n_datasets, repeats, seed)
    values = _largest_p(samples, 0.0, "superiority")
    counts = Counter[str]()
    # Refuted, it has a p below alpha times the datasets; supported, it has none above alpha.
    for row in np.flatnonzero((values.min(axis=1) * n_datasets < ALPHA) | (values.max(axis=1) < ALPHA)):
        parts = {str(number): evidence_of(each, 0.0) for number, each in enumerate(samples[row])}
        p = p_of_all(parts.values())
        counts[verdict_on_all(parts, p, p).word] += 1
    return {word: Rate(counts[word], repeats) for word in ("supported", "refuted")}


def false_positives_of_family(
    distribution: str, n: int, n_claims: int, kind: ClaimKind, repeats: int, seed: int = 0
) -> Rate:
    """How often any claim of a suite has a wrong verdict, under Holm's correction.

    There is no effect in any of them or, for equivalence, all differences are just the margin.
    """
    margin = 0.0 if kind == "superiority" else 1.0
    samples = _several(distribution, n, n_claims, repeats, seed) + margin
    wrong = ("supported", "refuted") if kind == "superiority" else ("supported",)
    # Of equivalence, one-sided values are corrected: the interval alone has to be clear of both margins.
    times = n_claims if kind == "superiority" else 1
    may_count = times * _largest_p(samples, margin, kind) < ALPHA
    suites = [_of_suite(samples[row], margin, kind) for row in np.flatnonzero(may_count.any(axis=1))]
    return Rate(sum(any(each.word in wrong for each in verdicts) for verdicts in suites), repeats)


def false_kinds_of_family(distribution: str, n: int, n_claims: int, repeats: int, seed: int = 0) -> Rate:
    """How often any of many claims, all of them refuted, is said to be more than that.

    Each true difference is just minus the margin, ten deviations away from the margin: the level is neither worse by
    more than the margin nor as good within it.
    """
    margin = 5.0
    samples = _several(distribution, n, n_claims, repeats, seed) - margin
    may_count = n_claims * _largest_p(samples, margin, "non_inferiority") < ALPHA
    suites = [_of_suite(samples[row], margin, "superiority") for row in np.flatnonzero(may_count.any(axis=1))]
    return Rate(sum(any(each.kind in ("reversed", "equivalent") for each in found) for found in suites), repeats)


def _several(distribution: str, n: int, number: int, repeats: int, seed: int) -> np.ndarray:
    """Samples by repeat, claim or dataset, and seed."""
    random = np.random.default_rng([seed, n, number])
    return DISTRIBUTIONS[distribution](random, (repeats * number, n)).reshape(repeats, number, n)


def _of_suite(samples: np.ndarray, margin: float, kind: ClaimKind) -> list[Verdict]:
    """The verdict on each claim of a suite whose adjusted p is below alpha."""
    n = samples.shape[1]
    means, errors = samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(n)
    tested = [tested_against(float(m), float(e), n - 1, margin, kind) for m, e in zip(means, errors, strict=True)]
    adjusted = holm([each.p for each in tested])
    return [
        verdict_of(evidence_of(samples[row], margin, kind, family=len(samples)), adjusted[row])
        for row in np.flatnonzero(np.array(adjusted) < ALPHA)
    ]


def achieved_power(distribution: str, effect: float, n: int, repeats: int, seed: int = 0) -> Rate:
    """How often a claim with margin 0 is supported where the true difference is `effect` standard deviations."""
    random = np.random.default_rng([seed, n])
    samples = DISTRIBUTIONS[distribution](random, (repeats, n)) + effect
    return Rate(Counter(verdicts_on(samples, 0.0, "superiority"))["supported"], repeats)


def report(repeats: int, seed: int) -> str:
    """All tables as text."""
    lines = [f"verdicts at alpha = {ALPHA}, {repeats} repeats; per cent, with exact 95 % intervals", ""]
    lines += [f"{'no effect, superiority':27}{'seeds':>6}  {'supported':>20}  {'refuted':>20}  {'either':>20}"]
    for distribution in DISTRIBUTIONS:
        for n in SIZES:
            found = false_positives(distribution, n, "superiority", repeats, seed)
            either = Rate(found["supported"].count + found["refuted"].count, repeats)
            told = "  ".join(f"{each!s:>20}" for each in (found["supported"], found["refuted"], either))
            lines.append(f"{distribution:27}{n:6}  {told}")
    lines += ["", f"{'at the margin, equivalence':27}{'seeds':>6}  {'supported':>20}"]
    for distribution in DISTRIBUTIONS:
        for n in SIZES:
            found = false_positives(distribution, n, "equivalence", repeats, seed)
            lines.append(f"{distribution:27}{n:6}  {found['supported']!s:>20}")
    lines += ["", f"{'no effect, several looks':27}{'seeds':>15}  {'a verdict at any':>20}"]
    for distribution in DISTRIBUTIONS:
        for looks in LOOKS:
            found_at_any = false_positives_over_looks(distribution, looks, repeats, seed)
            lines.append(f"{distribution:27}{', '.join(map(str, looks)):>15}  {found_at_any!s:>20}")
    lines += _lines_of_several(repeats, seed)
    lines += ["", f"{'power, superiority':27}{'seeds':>6}  {'promised':>20}  {'achieved':>20}"]
    for effect in EFFECTS:
        n = seeds_needed(effect, 1.0, ALPHA).number or MOST_SEEDS
        promised = f"{100 * promised_power(effect, n, ALPHA):.1f}"
        achieved = achieved_power("normal", effect, n, repeats, seed)
        lines.append(f"{f'effect of {effect} deviations':27}{n:6}  {promised:>20}  {achieved!s:>20}")
    return "\n".join(lines)


def _lines_of_several(repeats: int, seed: int) -> list[str]:
    """Of several datasets, and of several claims."""
    lines = ["", f"{'no effect, on all datasets':27}{'datasets':>9}{'seeds':>6}  {'supported':>20}  {'refuted':>20}"]
    for distribution in DISTRIBUTIONS:
        for n in SIZES_OF_MANY:
            on_all = false_positives_on_all(distribution, n, MANY, repeats, seed)
            told = "  ".join(f"{on_all[word]!s:>20}" for word in ("supported", "refuted"))
            lines.append(f"{distribution:27}{MANY:9}{n:6}  {told}")
    heads = {"superiority": "no effect, many claims", "equivalence": "at the margin, equivalence"}
    numbers: Mapping[ClaimKind, int] = {"superiority": MANY, "equivalence": 2}
    for kind, number in numbers.items():
        lines += ["", f"{heads[kind]:27}{'claims':>9}{'seeds':>6}  {'any wrong verdict':>20}"]
        for distribution in DISTRIBUTIONS:
            for n in SIZES_OF_MANY:
                wrong = false_positives_of_family(
                    distribution, n=n, n_claims=number, kind=kind, repeats=repeats, seed=seed
                )
                lines.append(f"{distribution:27}{number:9}{n:6}  {wrong!s:>20}")
    lines += ["", f"{'at minus the margin':27}{'claims':>9}{'seeds':>6}  {'any wrong kind':>20}"]
    for distribution in DISTRIBUTIONS:
        for n in SIZES_OF_MANY:
            wrong = false_kinds_of_family(distribution, n, MANY, repeats, seed)
            lines.append(f"{distribution:27}{MANY:9}{n:6}  {wrong!s:>20}")
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="How often verdicts are wrong, and how often they come.")
    parser.add_argument("--repeats", type=int, default=2000, help="samples for each line")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    given = parser.parse_args()
    print(report(given.repeats, given.seed))


if __name__ == "__main__":
    main()
