"""Suites that go wrong by themselves, and suites of very many runs."""

from __future__ import annotations

import json
import time

from tools.faults.bench import SUITE, Bench, Tally, went_well
from tools.faults.folder import NO_REPORT, RUN, RUN_WITH_ALL_CORES

DIVERGING_RATE = "1e38"
"""Two steps of it are more than a 32-bit float can hold, so that no activation keeps a network finite."""

MOST_OVERHEAD = 0.005
"""Seconds that a run may cost beside its training."""

ENOUGH_TO_MEASURE = 5000
"""Runs from which on that is judged: with fewer, two starts of one command differ by more."""

_SMALL = """
name = "study"
datasets = ["wine"]
seeds = {seeds}
[model]
variant = "mlp_small"
width = 4
depth = 1
[train]
epochs = 1
batch_size = 100
[factors]
"train.learning_rate" = {rates}
"""


def diverge(bench: Bench, count: int) -> Tally:
    """Give half of the runs a learning rate at which nothing is finite; the others train beside them as ever."""
    del count  # as many as the suite has
    whole = bench.undisturbed(SUITE)
    folder = bench.folder(f'{SUITE}"train.learning_rate" = [0.001, {DIVERGING_RATE}]\n')
    first, again = folder.call(), folder.call()
    results = folder.results()
    bad = {key: result for key, result in results.items() if key not in whole.results}
    tally = Tally(whole.results, tried=len(results) - len(whole.results))
    told = went_well(first, 1) and went_well(again, 1) and "to train" not in again[1]
    tally.survived = sum(result[0] == "diverged" for result in bad.values()) * told
    tally.doubled = folder.doubled()
    tally.is_equal = {key: results.get(key) for key in whole.results} == whole.results
    tally.how = f"a learning rate of {DIVERGING_RATE}"
    return tally


def fail_half(bench: Bench, count: int) -> Tally:
    """Have every second cell of a suite fail, each for a reason of its own; once the reason is gone, all are done.

    Their weights are to be kept, and a folder stands where the file of each goes.
    """
    rates = [round(0.001 + 0.00001 * number, 5) for number in range(count)]
    text = _SMALL.format(seeds=1, rates=rates) + '"model.activation" = ["relu", "tanh"]\n'
    whole = bench.undisturbed(text)
    folder = bench.folder(text)
    with whole.folder.connected() as connection:
        query = "SELECT key FROM runs WHERE json_extract(settings, '$.\"model.activation\"') = 'tanh'"
        blocked = [folder.runs / "weights" / f"{key}.npz" / "in_the_way" for (key,) in connection.execute(query)]
    for path in blocked:
        path.mkdir(parents=True)
    first = folder.call(*RUN, "--keep-weights")
    folder.note_runs()
    statuses = folder.statuses()
    for path in blocked:
        path.rmdir()
        path.parent.rmdir()
    again = folder.call(*RUN, *NO_REPORT, "--keep-weights", "--retry", "failed")
    tally = Tally(whole.results, tried=len(blocked), how=f"of {2 * count:,}")
    is_told = went_well(first, 1) and statuses == {"done": count, "failed": count}
    tally.survived = len(blocked) if is_told and went_well(again) else 0
    tally.close(folder)
    return tally


def train_trivial(bench: Bench, count: int) -> Tally:
    """Train very many runs of next to no work, and measure what each costs beside its training."""
    few, many = (
        bench.folder(_SMALL.format(seeds=seeds, rates=[0.1, 0.01]), is_fresh=True) for seeds in (5, count // 2)
    )
    seconds = {}
    for folder in (few, many):
        for which in ("first", "again"):
            begun = time.monotonic()
            last = folder.call(*RUN_WITH_ALL_CORES)
            seconds[folder, which] = time.monotonic() - begun
            folder.note_runs()
    with many.connected() as connection:
        number, training, facts = connection.execute(
            "SELECT count(*), sum(seconds), facts FROM runs JOIN machines ON machines.id = machine"
        ).fetchone()
    beside = seconds[many, "first"] - seconds[few, "first"] - training / json.loads(facts)["workers"]
    reporting = seconds[many, "again"] - seconds[few, "again"]
    overhead = (beside - reporting) / number
    is_quick = number < ENOUGH_TO_MEASURE or overhead < MOST_OVERHEAD
    results = many.results()
    tally = Tally(results, tried=count // 2 * 2, survived=number if went_well(last) and is_quick else 0)
    tally.close(many)
    tally.is_equal = results.items() >= few.results().items()
    tally.how = (
        f"{1000 * overhead:.1f} ms a run beside its training, and {1000 * reporting / number:.1f} of plan and report"
    )
    return tally
