"""The page over all suites of a runs folder."""

from __future__ import annotations

import json
import sys

import pytest
from pages import Page
from studies import recorded, study_of

from benchmarks import cli
from benchmarks.errors import UserError
from benchmarks.report.claims import CLAIMS_FORMAT
from benchmarks.report.index import MOST_CLAIMS, index_entries, index_page, write_index
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, RegisteredClaim, Store
from benchmarks.suite.claims import claim_hash
from benchmarks.suite.reading import parse_suite

pytestmark = pytest.mark.usefixtures("undrawn")

DIGITS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")

SUITE = """
name = "plain"
question = "Is <b>this</b> & that {{ 7 * 7 }} shown as it is?"
datasets = ["digits"]
seeds = 8
[model]
variant = "mlp_small"
[factors]
"model.activation" = ["relu", "tanh"]
"""
CLAIM = """
[[claims]]
statement = "Tanh beats <i>ReLU</i>"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.002
"""
CLAIMS = SUITE.replace('"plain"', '"claiming"').replace("[factors]", "[train]\nepochs = 7\n[factors]") + CLAIM


def result_of(run):
    accuracy = 0.9 + 0.001 * (run.seed * run.seed % 7) + 0.03 * (run.cell.levels["model.activation"] == "tanh")
    accuracy += 0.001 * (run.seed % 3) * (run.cell.levels["model.activation"] == "tanh")
    return RunResult("done", {"test_accuracy": accuracy, "test_loss": 0.1}, {}, 9034, 0.4)


def stored(folder, text, results=result_of, report=True):
    """Record the runs of a suite, but those without a result, and write its report."""
    suite = parse_suite(text, "suite.toml")
    store = recorded(folder, text, {"digits": DIGITS}, results, {"cpu": "a processor"})
    analysis = suite.analysis.model_dump(mode="json")
    claims = [
        RegisteredClaim(claim_hash(each), each.statement, 1, suite.seed_list, analysis, 0) for each in suite.claims
    ]
    store.register_claims(suite.name, claims)
    if report:
        write_report(study_of(store, suite.name), folder / suite.name)
    return store


def test_every_suite_is_there(tmp_path):
    """Each has its name, its question as it is written, how much has run, and a link to its report if there is one."""

    def partly(run):
        if run.seed == 0:
            return RunResult("diverged", message="the loss was not finite", seconds=0.1)
        return result_of(run) if run.seed < 7 else None

    stored(tmp_path, CLAIMS)
    store = stored(tmp_path, SUITE, partly, report=False)
    text = write_index(store).read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "b", "iframe"} & page.tags
    assert page.text.count("Is <b>this</b> & that {{ 7 * 7 }} shown as it is?") == 2
    assert page.values("href", "src") == ["claiming/report.html"]
    assert "16 of 16 runs done" in page.text
    assert "12 of 16 runs done; 2 diverged, 2 missing" in page.text
    assert "no report yet" in page.text
    assert "2 suites in this folder" in page.text
    assert "://" not in text


def test_the_verdicts_of_the_report(tmp_path):
    """The words beside a claim are those of the claims.json that lies beside the report."""
    store = stored(tmp_path, CLAIMS)
    written = json.loads((tmp_path / "claiming" / "claims.json").read_text(encoding="utf-8"))
    verdict = written["claims"][0]["judgements"][0]["verdict"]
    assert verdict["word"] == "supported"
    [entry] = index_entries(store)
    [claim] = entry.claims
    assert claim.statement == "Tanh beats <i>ReLU</i>"
    assert (claim.word, claim.kind) == ("supported", verdict["kind"])
    assert f"Tanh beats <i>ReLU</i> supported {verdict['kind']}" in Page(index_page([entry])).text


def test_verdicts_on_the_command_line(tmp_path, ablate):
    """A suite that was run here is reported by its name, without its file, and each verdict is told in a line."""
    stored(tmp_path / "runs", CLAIMS, report=False).close()
    code, out, err = ablate("report", "claiming")
    assert code == 0, err
    written = json.loads((tmp_path / "runs" / "claiming" / "claims.json").read_text(encoding="utf-8"))
    verdict = written["claims"][0]["judgements"][0]["verdict"]
    assert f"Tanh beats <i>ReLU</i>: supported: {verdict['kind']}" in out.splitlines()
    told = json.loads(ablate("report", "claiming", "--json")[1])
    assert [(each["word"], each["kind"]) for each in told["claims"]] == [("supported", verdict["kind"])]


def test_a_claim_without_a_verdict_on_the_command_line(tmp_path, ablate):
    """What was edited after it was run is told apart at once, and not only in the report."""
    stored(tmp_path / "runs", CLAIMS, report=False).close()
    edited = CLAIMS.replace("margin = 0.002", "margin = 0.001")
    (tmp_path / "edited.toml").write_text(edited)
    store = Store.create_or_open(tmp_path / "runs")
    store.register("claiming", edited, list(range(8)), {"digits": DIGITS})
    store.close()
    assert "Tanh beats <i>ReLU</i>: exploratory, without a verdict" in ablate("report", "edited.toml")[1]


@pytest.mark.parametrize("dataset", [None, "digits"])
def test_verdicts_for_single_datasets_are_told_apart(dataset, tmp_path):
    """Of several judgements of a claim each names its dataset; a claim without a verdict is exploratory."""
    store = stored(tmp_path, CLAIMS)
    verdict = {"word": "supported", "kind": "superior", "detail": ""}
    judgements = [{"dataset": dataset, "verdict": verdict}, {"dataset": "mnist", "verdict": None}]
    written = {"format": CLAIMS_FORMAT, "claims": [{"statement": "One", "judgements": judgements}]}
    (tmp_path / "claiming" / "claims.json").write_text(json.dumps(written), encoding="utf-8")
    [entry] = index_entries(store)
    assert [(claim.dataset, claim.word, claim.kind) for claim in entry.claims] == [
        (dataset or "", "supported", "superior"),
        ("mnist", "exploratory", ""),
    ]


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "no JSON", '{"format": 99, "claims": []}'])
def test_verdicts_that_cannot_be_read(text, tmp_path):
    """A missing or foreign claims.json is told, and how to mend it; the suite is shown all the same."""
    store = stored(tmp_path, CLAIMS)
    path = tmp_path / "claiming" / "claims.json"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    page = Page(index_page(index_entries(store)))
    assert "the verdicts cannot be read; `ablate report` of claiming writes them anew" in page.text
    assert "16 of 16 runs done" in page.text


def test_a_suite_of_another_version(tmp_path):
    """A suite that is no longer understood is listed with its name."""
    store = stored(tmp_path, SUITE, report=False)
    store.register("old", 'name = "old"\nlayers = 3\n', [0], {"digits": DIGITS})
    old, plain = index_entries(store)
    assert (old.name, plain.name) == ("old", "plain")
    assert "no longer understands" in Page(index_page([old, plain])).text


def test_many_claims_are_cut(tmp_path):
    """The page shows the first verdicts of a suite and says how many there are."""
    store = stored(tmp_path, CLAIMS)
    claim = {"statement": "One of many", "judgements": [{"dataset": None, "verdict": None}]}
    written = {"format": CLAIMS_FORMAT, "claims": [claim] * (MOST_CLAIMS + 5)}
    (tmp_path / "claiming" / "claims.json").write_text(json.dumps(written), encoding="utf-8")
    text = Page(index_page(index_entries(store))).text
    assert text.count("One of many") == MOST_CLAIMS
    assert f"The first {MOST_CLAIMS} of {MOST_CLAIMS + 5} verdicts" in text


def test_the_same_bytes(tmp_path):
    """Two stores with the same results in another order, at other times, have the same page."""
    first = stored(tmp_path / "first", SUITE)
    stored(tmp_path / "first", CLAIMS)
    second = stored(tmp_path / "second", CLAIMS)
    stored(tmp_path / "second", SUITE)
    assert write_index(first).read_bytes() == write_index(second).read_bytes() == write_index(first).read_bytes()
    assert not list((tmp_path / "first").glob(".index*"))


def test_an_empty_store(tmp_path):
    """A store without suites has a page that says so."""
    entries = index_entries(Store.create_or_open(tmp_path))
    assert "No suite was run into this folder yet." in Page(index_page(entries)).text


def test_a_folder_that_cannot_be_written(tmp_path):
    """Something in the way ends with a message, and stays as it was."""
    store = stored(tmp_path, SUITE, report=False)
    (tmp_path / "index.html").mkdir()
    with pytest.raises(UserError, match="the index cannot be written"):
        write_index(store)


def test_a_folder_that_is_not_there(tmp_path):
    """With a store on a server there need be no runs folder yet: it is made, or what is in its way is named."""
    store = stored(tmp_path / "store", SUITE, report=False)
    (tmp_path / "file").write_text("no folder")
    store.folder = tmp_path / "file" / "runs"
    with pytest.raises(UserError, match="the index cannot be written"):
        write_index(store)
    store.folder = tmp_path / "fresh" / "runs"
    assert write_index(store).is_file()


def test_the_command(tmp_path, monkeypatch, capsys):
    """`ablate index` writes the page and tells where; with --json it tells what is in it."""
    stored(tmp_path, CLAIMS).close()
    for arguments in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["ablate", "index", "--runs-dir", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert not caught.value.code
        out = capsys.readouterr().out
        assert str(tmp_path / "index.html") in out
    found = json.loads(out)
    assert [each["name"] for each in found["suites"]] == ["claiming"]
    counts = dict.fromkeys(["done", "diverged", "failed", "out_of_memory", "timed_out", "missing"], 0) | {"done": 16}
    assert found["suites"][0]["counts"] == counts
