"""Claims from the suite through the store to the report: what is judged, what is exploratory, what is said of it."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from studies import plan_of, study_of

from benchmarks.analysis.reading import tuning_trials
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of
from benchmarks.plan.registration import register_claims, standing
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite

pytestmark = pytest.mark.usefixtures("undrawn")

FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
MACHINE = {"cpu": "a processor"}

BASE = """
name = "claimed"
question = "Does it matter?"
datasets = ["digits"]
seeds = 7

[model]
variant = "mlp_small"

[factors]
"model.activation" = ["relu", "tanh"]
"model.normalization" = ["none", "batch"]
"""

CLAIM = """
[[claims]]
statement = "Tanh beats ReLU"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.01
"""

SECOND = CLAIM.replace("Tanh beats ReLU", "Batch beats none").replace("activation", "normalization")
SECOND = SECOND.replace('"tanh"', '"batch"').replace('"relu"', '"none"')

SEARCH = """
[search]
strategy = "random"
trials = 4
objective = "val_accuracy"
seeds = [1000]
[search.space]
"train.learning_rate" = { log = [1e-4, 1e-1] }
"""

TANH = 0.05
"""What tanh is better by in every made-up run."""


@dataclass(frozen=True)
class Bench:
    """A store that suites are run into."""

    store: Store
    folder: Path

    def plan(self, text, seeds=None):
        """A suite beside what is stored by now."""
        return plan_of(text, self.store, None if seeds is None else list(seeds))

    def start(self, text, seeds=None):
        """What `ablate run` does before it trains."""
        plan = self.plan(text, seeds)
        register_claims(plan, self.store)
        self.store.register(plan.suite.name, text, list(plan.seeds), dict.fromkeys(plan.suite.datasets, FACTS))
        return plan

    def run(self, text, seeds=None, wanted=None):
        """Register a suite and record its runs, in which tanh is better by `TANH`."""
        plan = self.start(text, seeds)
        for run in plan.missing:
            if wanted is None or wanted(run):
                self.store.record(run, result_of(run), MACHINE)
        return plan

    def report(self, text):
        """The files of the report."""
        name = parse_suite(text, "suite.toml").name
        folder = write_report(study_of(self.store, name), self.folder / name).parent
        return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}

    def standing(self, text, seeds=None):
        """How the claims stand."""
        return standing(self.plan(text, seeds))


@pytest.fixture
def bench(tmp_path):
    """An empty store."""
    return Bench(Store.create_or_open(tmp_path), tmp_path)


def result_of(run):
    """Hangs on dataset, levels and seed alone."""
    levels = run.cell.levels
    noise = np.random.default_rng([run.seed, zlib.crc32(f"{run.dataset} {levels}".encode())]).normal(0, 0.004)
    accuracy = 0.85 + TANH * (levels.get("model.activation") == "tanh") + noise
    history = {"val_accuracy": [accuracy - 0.3, accuracy - 0.1, accuracy], "train_loss": [2.0, 1.0, 0.5]}
    metrics = {"test_accuracy": accuracy, "test_nll": 0.4, "test_brier": 0.2, "test_ece": 0.03}
    return RunResult("done", metrics, history, 9034, 0.4)


def judged(files):
    return {each["statement"]: each for each in json.loads(files["claims.json"])["claims"]}


def word(files, statement="Tanh beats ReLU"):
    verdict = judged(files)[statement]["judgements"][0]["verdict"]
    return verdict and verdict["word"]


# --- registration ---------------------------------------------------------------------------------------------------


def test_a_base_that_is_changed_after_results_is_a_deviation(bench):
    """The claim is about other settings than those of which something was seen: exploratory, with the reason."""
    text = BASE + CLAIM
    bench.run(text)
    changed = text.replace('variant = "mlp_small"', 'variant = "mlp_small"\nwidth = 32')
    bench.run(changed)
    files = bench.report(changed)
    why = "the settings under which it compares were changed when 28 runs under the former ones had results"
    assert judged(files)["Tanh beats ReLU"]["exploratory_because"] == why
    assert word(files) is None
    for page in ("report.html", "report.md"):
        assert f"The claim “Tanh beats ReLU” is exploratory: {why}." in files[page]
    bench.run(changed)
    assert bench.standing(changed).unregistered == {"Tanh beats ReLU": why}


def test_a_base_that_is_changed_before_results_is_not(bench):
    """Nothing was seen. Nor is a change of settings that the claim does not compare under."""
    text = BASE + CLAIM.replace("margin", 'where = { "model.normalization" = "none" }\nmargin')
    bench.start(text)
    changed = text.replace('variant = "mlp_small"', 'variant = "mlp_small"\nwidth = 32')
    bench.run(changed)
    assert bench.standing(changed).unregistered == {}
    other = changed.replace('["none", "batch"]', '["none", "layer"]')
    bench.run(other)
    assert bench.standing(other).unregistered == {}


def test_a_claim_that_was_there_before_the_runs_is_judged(bench):
    """It has a verdict on every page, and when it was registered stands in the provenance."""
    bench.run(BASE + CLAIM)
    files = bench.report(BASE + CLAIM)
    assert word(files) == "supported"
    assert judged(files)["Tanh beats ReLU"]["exploratory_because"] is None
    for name in ("report.html", "report.md"):
        assert "supported: superior" in files[name]
        assert "tanh is better than relu by more than 1 percentage point" in files[name]
    [claim] = bench.store.claims("claimed").values()
    assert (claim.n_results, claim.seeds, claim.n_judgements) == (0, list(range(7)), 1)
    assert claim.registered_at in files["report.html"]
    assert claim.registered_at not in files["claims.json"]


def test_a_claim_that_is_added_after_the_runs_is_exploratory(bench):
    """There is an interval and a p of its own kind, and no verdict word anywhere near it."""
    bench.run(BASE + CLAIM)
    bench.run(BASE + CLAIM + SECOND)
    files = bench.report(BASE + CLAIM + SECOND)
    later = judged(files)["Batch beats none"]
    assert (word(files), later["judgements"][0]["verdict"], later["is_registered"]) == ("supported", None, False)
    assert "28 runs" in later["exploratory_because"]
    assert json.loads(files["claims.json"])["family"] == 1
    card = files["report.html"].split("<h3>Batch beats none</h3>")[1].split("</article>")[0]
    assert "exploratory" in card
    assert not re.search("supported|refuted|inconclusive", card)
    assert "is exploratory: it was added or edited when 28 runs" in files["report.md"]


def test_a_claim_that_is_edited_after_the_runs_is_exploratory_and_keeps_its_share(bench):
    """A margin made smaller is another claim; the one that was registered still counts in the correction."""
    bench.run(BASE + CLAIM + SECOND)
    edited = BASE + CLAIM.replace("0.01", "0.001") + SECOND
    bench.run(edited)
    files = bench.report(edited)
    found = json.loads(files["claims.json"])
    assert (found["family"], found["withdrawn"]) == (2, ["Tanh beats ReLU"])
    assert word(files) is None
    other = judged(files)["Batch beats none"]["judgements"][0]
    assert other["adjusted_p"] == pytest.approx(min(1, 2 * other["p"]))
    assert "taken out or edited after there were results" in files["report.html"]


def test_withdrawing_a_claim_frees_no_alpha(bench):
    """What is left is corrected as if the other claim, of no p, were still there."""
    bench.run(BASE + CLAIM + SECOND)
    bench.run(BASE + CLAIM)
    [judgement] = judged(bench.report(BASE + CLAIM))["Tanh beats ReLU"]["judgements"]
    assert judgement["adjusted_p"] == pytest.approx(2 * judgement["p"])


def test_a_claim_may_be_edited_before_there_are_results(bench):
    """A suite that was started and trained nothing leaves no trace of its first words."""
    bench.start(BASE + CLAIM.replace("0.01", "0.5"))
    bench.run(BASE + CLAIM)
    files = bench.report(BASE + CLAIM)
    assert word(files) == "supported"
    assert json.loads(files["claims.json"])["withdrawn"] == []
    assert len(bench.store.claims("claimed")) == 1


def test_results_of_other_cells_do_not_matter(bench):
    """A claim about cells of which nothing is there is registered, whatever else has run."""
    bench.run(BASE + CLAIM, wanted=lambda run: run.cell.levels["model.normalization"] == "none")
    about_batch = CLAIM.replace("Tanh beats ReLU", "With batch").replace(
        "margin", 'where = { "model.normalization" = "batch" }\nmargin'
    )
    bench.run(BASE + CLAIM + about_batch)
    assert dict(bench.standing(BASE + CLAIM + about_batch).unregistered) == {}
    assert len(bench.standing(BASE + CLAIM + about_batch).registered_at) == 2


def test_failed_runs_are_no_results(bench):
    """Nothing is seen of a run that failed."""
    plan = bench.start(BASE)
    bench.store.record(plan.runs[0], RunResult("failed", message="out of memory"), MACHINE)
    bench.run(BASE + CLAIM)
    assert judged(bench.report(BASE + CLAIM))["Tanh beats ReLU"]["is_registered"]


def test_a_claim_that_nobody_registered_is_exploratory(bench):
    """Runs that came into the store in another way give no verdict."""
    plan = bench.plan(BASE + CLAIM)
    bench.store.register("claimed", BASE + CLAIM, list(plan.seeds), {"digits": FACTS})
    for run in plan.runs:
        bench.store.record(run, result_of(run), MACHINE)
    files = bench.report(BASE + CLAIM)
    assert word(files) is None
    assert "not registered" in judged(files)["Tanh beats ReLU"]["exploratory_because"]


def test_registering_twice_changes_nothing(bench):
    """The first time stands, also in a report."""
    bench.run(BASE + CLAIM)
    before, files = bench.store.claims("claimed"), bench.report(BASE + CLAIM)
    bench.run(BASE + CLAIM)
    assert bench.store.claims("claimed") == before
    assert bench.report(BASE + CLAIM) == files


# --- numbers of seeds -----------------------------------------------------------------------------------------------


def test_seeds_that_were_added_without_a_look_take_the_verdict_away(bench):
    """Adding seeds until it is clear is no test; the report says what was declared, and its checklist says no."""
    bench.run(BASE + CLAIM, seeds=range(6))
    bench.run(BASE + CLAIM)
    files = bench.report(BASE + CLAIM)
    assert word(files) is None
    why = "7 seeds, where 6 were registered and no look was declared"
    assert why in files["report.html"]
    assert f"| no | Were the seeds declared? | {why} |" in files["report.md"]


LOOKS = BASE + "\n[analysis]\nlooks = [6, 7]\n" + CLAIM


def test_declared_looks_divide_alpha(bench):
    """At the second of two declared looks there is a verdict, at half of alpha."""
    bench.run(LOOKS, seeds=range(6))
    first = json.loads(bench.report(LOOKS)["claims.json"])
    assert (first["look"], first["looks"], first["alpha_per_look"]) == (1, 2, 0.025)
    bench.run(LOOKS)
    files = bench.report(LOOKS)
    second = json.loads(files["claims.json"])
    assert (second["look"], second["looks"], second["alpha_per_look"]) == (2, 2, 0.025)
    assert word(files) == "supported"
    assert "97.5" in files["report.html"]


def test_a_number_of_seeds_at_which_there_is_no_look(bench):
    """It was declared that results are looked at elsewhere."""
    bench.run(LOOKS, seeds=range(9))
    files = bench.report(LOOKS)
    assert word(files) is None
    assert "9 seeds, where looks are declared at 6, 7" in judged(files)["Tanh beats ReLU"]["exploratory_because"]
    assert "7 seeds; 9 seeds were asked for on the command line" in " ".join(files["report.md"].split())


def test_looks_that_are_declared_after_the_results(bench):
    """How claims are judged is registered with them."""
    bench.run(BASE + CLAIM)
    bench.run(LOOKS)
    why = judged(bench.report(LOOKS))["Tanh beats ReLU"]["exploratory_because"]
    assert why == "how claims are judged was changed after there were results"


def test_other_seeds_of_the_same_number(bench):
    """Some of them seen, some new: that is a choice among seeds."""
    bench.run(BASE + CLAIM)
    bench.run(BASE + CLAIM, seeds=range(3, 10))
    assert "other seeds" in judged(bench.report(BASE + CLAIM))["Tanh beats ReLU"]["exploratory_because"]


def test_seeds_of_a_look_are_those_that_were_registered(bench):
    """A number of seeds that was declared does not make any seeds declared: an unlucky one cannot be left out."""
    bench.run(LOOKS, seeds=range(6))
    for seeds in ([1, 2, 3, 7, 8, 9], [1, 0, 2, 3, 4, 5, 6], range(1, 8)):
        bench.run(LOOKS, seeds=seeds)
        [why] = bench.standing(LOOKS, seeds).unregistered.values()
        assert why.startswith("other seeds than those that were registered")
    files = bench.report(LOOKS)
    assert word(files) is None
    assert f"| no | Were the seeds declared? | {why} |" in files["report.md"]
    bench.run(LOOKS)
    assert bench.standing(LOOKS).unregistered == {}


def test_fresh_seeds_are_a_fresh_claim(bench):
    """Where nothing was seen of any of them, the claim is registered anew, and has a verdict."""
    bench.run(BASE + CLAIM)
    bench.run(BASE + CLAIM, seeds=range(20, 27))
    assert word(bench.report(BASE + CLAIM)) == "supported"


def test_every_attempt_with_fresh_seeds_counts(bench):
    """Each has its share of alpha, is told, and stays when seeds are given again that were there before."""
    bench.run(BASE + CLAIM)
    [first] = bench.store.claims("claimed").values()
    for seeds in (range(10, 17), range(20, 27)):
        bench.start(BASE + CLAIM, seeds=[99])  # nothing was seen of it
        bench.run(BASE + CLAIM, seeds=seeds)
    files = bench.report(BASE + CLAIM)
    found = json.loads(files["claims.json"])
    assert (found["family"], found["withdrawn"]) == (3, ["Tanh beats ReLU"] * 2)
    [judgement] = judged(files)["Tanh beats ReLU"]["judgements"]
    assert judgement["adjusted_p"] == pytest.approx(3 * judgement["p"])
    told = "was registered before, with other seeds, settings or looks, and 28 runs had results"
    assert files["report.md"].count(told) == files["report.html"].count(told) == 2
    assert "| no | Are all claims still as they were registered? |" in files["report.md"]
    bench.run(BASE + CLAIM)
    again = bench.standing(BASE + CLAIM)
    assert (again.unregistered, again.n_withdrawn) == ({}, 2)
    assert bench.store.claims("claimed")[first.hash] == first


def test_editing_a_claim_with_fresh_seeds_frees_no_alpha(bench):
    """However often margin and seeds are changed together, each claim of which something was seen stays."""
    for number, margin in enumerate(("0.05", "0.01", "0.0")):
        text = BASE + CLAIM.replace("0.01", margin)
        bench.run(text, seeds=range(10 * number, 10 * number + 7))
        assert bench.standing(text, range(10 * number, 10 * number + 7)).unregistered == {}
    files = bench.report(text)
    assert (word(files), json.loads(files["claims.json"])["family"]) == ("supported", 3)
    assert files["report.md"].count("taken out or edited after there were results") == 2


def test_a_claim_that_was_taken_out_comes_back_as_it_was(bench):
    """It was registered before its runs, and was not changed; meanwhile it counts all the same."""
    bench.run(BASE + CLAIM + SECOND)
    before = bench.store.claims("claimed")
    bench.run(BASE + SECOND)
    assert bench.standing(BASE + SECOND).n_withdrawn == 1
    bench.run(BASE + CLAIM + SECOND)
    assert bench.store.claims("claimed") == before


def test_a_claim_whose_settings_were_changed_keeps_its_share(bench):
    """What it was registered as had a verdict; what it is now is exploratory, and nothing of alpha is free."""
    bench.run(BASE + CLAIM + SECOND)
    changed = (BASE + CLAIM + SECOND).replace('variant = "mlp_small"', 'variant = "mlp_small"\nwidth = 32')
    bench.run(changed)
    assert len(bench.standing(changed).attempts) == len(bench.standing(changed).unregistered) == 2
    more = changed + CLAIM.replace("Tanh beats ReLU", "Again").replace("0.01", "0.02")
    bench.run(more, seeds=range(20, 27))
    found = bench.standing(more, range(20, 27))
    assert (list(found.unregistered), found.n_withdrawn) == (["Tanh beats ReLU", "Batch beats none"], 2)


def test_trials_are_those_of_each_cell(bench):
    """In a design where the baseline's level stands in more cells than another, it has no more trials for that."""
    text = BASE.replace("seeds = 7", 'seeds = 7\ndesign = "one_factor"') + CLAIM + SEARCH
    suite = parse_suite(text, "suite.toml")
    bench.store.register("claimed", text, suite.seed_list, {"digits": FACTS})
    registration = bench.store.registration("claimed")
    for group in groups_of(suite, expand_cells(suite), registration.versions):
        number = 9 if "batch" in group.where.values() else 4
        bench.store.record_search(group.key, [{"number": trial} for trial in range(number)], {})
    found = {
        tuple(dict(levels).values()): n for (_, levels), n in tuning_trials(study_of(bench.store, "claimed")).items()
    }
    assert {frozenset(levels): n for levels, n in found.items()} == {
        frozenset({"relu", "none"}): 4,
        frozenset({"tanh", "none"}): 4,
        frozenset({"relu", "batch"}): 9,
    }


def test_trials_of_a_suite_with_what_was_found(bench):
    """Its entries say how many they took, for all cells that they are about."""
    tuned = """
[[tuned]]
{where}trials = {trials}
settings = {{ {setting} = 0.1 }}
"""
    text = BASE + CLAIM + tuned.format(where="", trials=5, setting='"train.learning_rate"')
    text += tuned.format(where='where = { "model.activation" = "tanh" }\n', trials=3, setting='"model.dropout"')
    bench.run(text)
    trials = tuning_trials(study_of(bench.store, "claimed"))
    assert {place: n for place, n in trials.items() if ("model.activation", "tanh") in place[1]} == dict.fromkeys(
        [place for place in trials if ("model.activation", "tanh") in place[1]], 8
    )
    assert sorted(trials.values()) == [5, 5, 8, 8]


# --- the report -----------------------------------------------------------------------------------------------------


def test_hostile_statements_are_only_text(bench):
    """Markup, pipes and formulas in a statement do nothing on any page."""
    evil = "<script>alert('|')</script> & `x` $\\\\frac{"
    text = BASE + CLAIM.replace('"Tanh beats ReLU"', f'"""{evil}"""')
    bench.run(text)
    files = bench.report(text)
    assert "<script" not in files["report.html"]
    assert "&lt;script&gt;" in files["report.html"]
    card = files["report.md"].split("### &lt;script")[1].split("\n#")[0]
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}


def test_claims_json_is_sorted_and_the_same_again(bench):
    """Keys in order, ten digits at most, no NaN; a claim that is taken out leaves no file of verdicts behind."""
    bench.run(BASE + CLAIM + SECOND)
    text = bench.report(BASE + CLAIM + SECOND)["claims.json"]
    found = json.loads(text)
    assert text == json.dumps(found, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    assert max(len(digits.replace(".", "").lstrip("0")) for digits in re.findall(r"\d+\.\d+", text)) <= 10
    evidence = found["claims"][0]["judgements"][0]["evidence"]
    assert evidence["n"] == len(evidence["differences"]) == 7
    assert evidence["mean"] == pytest.approx(TANH, abs=0.006)
    bench.run(BASE)
    assert "claims.json" not in bench.report(BASE)


def test_the_order_of_the_sections(bench):
    """They follow each other as the specification has them."""
    bench.run(BASE + CLAIM)
    page = bench.report(BASE + CLAIM)["report.html"]
    ids = re.findall(r'<section id="(\w+)"', page)
    assert ids == [
        "claims",
        "differences",
        "seeds",
        "cells",
        "further",
        "interactions",
        "importance",
        "curves",
        "times",
        "pareto",
        "reliability",
        "ensembles",
        "failures",
        "precision",
        "ranks",
        "provenance",
    ]
    assert re.findall(r'<a href="#(\w+)"', page)[: len(ids)] == ids
    for question in (
        "Which claims hold?",
        "Do the seeds agree on tanh against relu?",
        "Which factor matters most?",
        "Does the effect of model.activation depend on model.normalization?",
    ):
        assert question in page
    assert "5 to 9 % of lognormal" in page


def test_seeds_needed_stand_beside_what_is_open(bench):
    """And not beside what is decided, nor where seeds decide nothing."""
    close = CLAIM.replace("Tanh beats ReLU", "By five points").replace("0.01", str(TANH + 0.0005))
    bench.run(BASE + CLAIM + close)
    page = bench.report(BASE + CLAIM + close)["report.html"]
    cards = {
        part.split("</h3>")[0]: part.split("</article>")[0] for part in page.split('<article class="card">\n<h3>')[1:]
    }
    assert "inconclusive" in cards["By five points"]
    assert re.search(r"\d seeds|not a matter of seeds|never", cards["By five points"].split("<tbody>")[1])
    own_row = cards["Tanh beats ReLU"].split("<tbody>")[1].split("</tr>")[0]
    assert own_row.rstrip().endswith('<td class="words" data-label="Seeds needed"></td>')


TWO = BASE.replace('["digits"]', '["digits", "mnist"]')


@pytest.mark.parametrize("across", ["each", "all", "average"])
def test_several_datasets(bench, across):
    """Each dataset has its row, on its own or as a check."""
    text = TWO + CLAIM + f'datasets = "{across}"\n'
    bench.run(text)
    files = bench.report(text)
    judgements = judged(files)["Tanh beats ReLU"]["judgements"]
    assert len(judgements) == (2 if across == "each" else 1)
    assert {each["verdict"]["word"] for each in judgements} == {"supported"}
    card = files["report.html"].split('<article class="card">')[1].split("</article>")[0]
    rows = Counter(
        re.findall(r'<td data-label="On">(digits|mnist|the worst of 2 datasets|the average of 2 datasets)</td>', card)
    )
    together = {"all": "the worst of 2 datasets", "average": "the average of 2 datasets"}
    assert rows == Counter(["digits", "mnist", *([together[across]] if across != "each" else [])])


FACTORS_OF_FOUR = """
"model.dropout" = [0.0, 0.2]
"train.batch_size" = [32, 64]
"""
BASELINE = """
[baseline]
"model.activation" = "relu"
"model.normalization" = "none"
"model.dropout" = 0.0
"train.batch_size" = 32
"""


@pytest.mark.parametrize(
    ("design", "contrast", "why"),
    [
        ("one_factor", "model.activation: tanh against relu", "This design cannot estimate interactions"),
        ("path", "model.activation: tanh against relu", "This design cannot estimate interactions"),
        ("paired", "model.normalization changing with it", "the factors change together"),
        ("fractional", "averaged over model.normalization, model.dropout, train.batch_size", "A fraction of 8 of 16"),
    ],
)
def test_designs(bench, design, contrast, why):
    """A claim is about the cells that the design has for it, and what it cannot tell has its reason."""
    factors = FACTORS_OF_FOUR if design in ("fractional", "path") else ""
    text = BASE.replace("seeds = 7", f'seeds = 7\ndesign = "{design}"') + factors + BASELINE
    if design != "path":
        text = text.replace(BASELINE, "")
    bench.run(text + CLAIM)
    files = bench.report(text + CLAIM)
    assert word(files) == "supported"
    for name in ("report.html", "report.md"):
        assert contrast in files[name]
        section = files[name].split('id="interactions"' if name == "report.html" else "## Interactions")[1]
        assert "No interactions are given" in section[:1500]
        assert why in section[:1500]
    if design == "fractional":
        assert "cannot tell whether it holds at each level" in files["report.html"]


def test_few_seeds_and_one_factor(bench):
    """Every section that three seeds or one factor do not support says why in a sentence."""
    text = BASE.replace("seeds = 7", "seeds = 2").replace('"model.normalization" = ["none", "batch"]\n', "")
    bench.run(text + CLAIM)
    files = bench.report(text + CLAIM)
    assert "too few seeds (2&lt;6)" in files["report.html"] or "2&lt;6" in files["report.html"]
    for sentence in (
        "No interactions are given: there is one factor.",
        "No importance is given: there is one factor.",
        "No times are given: they need 5 seeds and the suite has 2.",
        "No precision is given: no difference from the baseline has an interval.",
        "No ranks are given: they need 6 datasets and there are 1.",
        "No diagram is given: the labels of the test examples were not kept.",
    ):
        assert sentence in files["report.md"], sentence
        assert sentence in files["report.html"], sentence


def test_ranks_over_six_datasets(bench):
    """The cells of tanh come first, on average over the datasets."""
    text = BASE.replace('["digits"]', '["digits", "mnist", "kmnist", "emnist", "cifar10", "svhn_cropped"]')
    bench.run(text)
    files = bench.report(text)
    ranks = files["report.md"].split("## Ranks over datasets")[1].split("##")[0]
    rows = re.findall(r"^\| (\w+), (\w+) \| ([\d.]+) \|", ranks, flags=re.MULTILINE)
    assert {activation for activation, _, _ in rows[:2]} == {"tanh"}
    assert np.mean([float(rank) for _, _, rank in rows]) == 2.5


def test_holes_are_deviations(bench):
    """What is missing, failed or diverged is told, the checklist says no, and a claim with a hole is not judged."""
    plan = bench.start(BASE + CLAIM)
    for number, run in enumerate(plan.runs):
        result = result_of(run)
        if number == 3:
            result = RunResult("failed", message="out of memory")
        if number == 12:
            result = replace(result, status="diverged", metrics={}, message="not finite")
        if number != 20:
            bench.store.record(run, result, MACHINE if number else {"cpu": "another"})
    files = bench.report(BASE + CLAIM)
    assert word(files) == "inconclusive"
    assert "missing pair" in files["report.html"]
    assert "not a matter of seeds" in files["report.html"]
    for deviation in (
        "1 run diverged: an outcome, which counts.",
        "1 run ended as failed: a hole",
        "1 run is missing.",
        "The runs come from 2 machines or set-ups",
    ):
        assert deviation in files["report.md"]
    assert "| no | Has every planned run an outcome? | 26 of 28 runs |" in files["report.md"]


def test_a_whole_report_deviates_from_nothing(bench):
    """And every line of its checklist says yes."""
    bench.run(BASE + CLAIM)
    text = bench.report(BASE + CLAIM)["report.md"]
    assert "### Deviations from the plan\n\nNone." in text
    checklist = text.split("### Checklist")[1].split("###")[0]
    assert "| yes |" in checklist
    assert "| no |" not in checklist
