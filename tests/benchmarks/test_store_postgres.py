"""The store on a Postgres server: who may open what, what errors tell and keep to themselves, and servers that go."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from studies import study_of

from benchmarks.cli.app import COMMANDS
from benchmarks.errors import StoreError
from benchmarks.plan.leases import Leases
from benchmarks.plan.merging import merge
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import FORMAT, STORE_FILE, DatasetFacts, RegisteredClaim, Store
from benchmarks.suite.reading import parse_suite

ROOT = Path(__file__).parents[2]
SECRET = "hunter2swordfish"
MACHINE = {"processor": "abacus"}


def parted(url):
    """User, password, server and database of a URL."""
    user, _, rest = url.removeprefix("postgresql://").partition(":")
    password, _, rest = rest.partition("@")
    server, _, database = rest.partition("/")
    return user, password, server, database


def execute(url, *statements):
    """What the last statement gives."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else None


def refused(tmp_path, url):
    """Check that reading and writing both refuse a URL, and give the message; no password is in it or around it."""
    messages = []
    for attempt in (Store.open, Store.find, Store.create_or_open):
        with pytest.raises(StoreError) as caught:
            attempt(tmp_path, url)
        messages.append(str(caught.value))
        assert SECRET not in str(caught.getrepr(style="long", chain=True))
    assert messages[0] == messages[1]
    assert SECRET not in "".join(messages)
    return messages[-1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (f"mysql://me:{SECRET}@host/runs", "mysql://"),
        (f"postgresql+psycopg2://me:{SECRET}@host/runs", "postgresql+psycopg2://"),
        ("sqlite:///store.sqlite", "sqlite://"),
        (f"me:{SECRET}@host/runs", "no URL"),
        (f"host=host user=me password={SECRET}", "no URL"),
        (f"postgresql://me:{SECRET}@host", "names no database"),
        (f"postgresql://me:{SECRET}@host/", "names no database"),
        (f"postgresql://me:{SECRET}/runs", "not a URL"),
        (f"postgresql://me:{SECRET}@host:port/runs", "not a URL"),
        (f"postgresql://me:x@{SECRET}@host/runs", "%40"),
        (f"postgresql://me:x@y/{SECRET}@host/runs", "%40"),
    ],
)
def test_urls_that_are_none(tmp_path, given, told):
    """What is no URL of a Postgres database is refused, before anybody is asked; what is allowed is told, no secret."""
    message = refused(tmp_path, given)
    assert told in message
    assert "allowed: postgresql://USER@HOST:PORT/DATABASE" in message or "%40" in message


def test_servers_that_cannot_be_used(tmp_path, postgres):
    """A server that is not there, a wrong password, no password and a missing database: each is told, by the server."""
    user, password, server, _ = parted(postgres)
    cases = {
        f"postgresql://{user}:{SECRET}@127.0.0.1:1/runs": ("127.0.0.1:1", "refused"),
        f"postgresql://{user}:{SECRET}@{server}/postgres": (server, "password authentication failed"),
        f"postgresql://{user}:{SECRET}@{server}/postgres?password={password}x": (server, "authentication failed"),
        f"postgresql://{user}@{server}/postgres": (server, "password"),
        f"postgresql://{user}:{password}@{server}/none_such": (server, "none_such"),
        f"postgresql://{user}:{password}@{server}/postgres?sslmode=verify-full": (server, "SSL"),
        f"postgresql://{user}:{password}@{server}/postgres?nonsense={SECRET}": (server, "nonsense"),
    }
    for url, told in cases.items():
        message = refused(tmp_path, url)
        assert all(part in message for part in told), (url, message)
        assert password not in message


def test_missing_driver(tmp_path, monkeypatch):
    """Without psycopg, what is to be installed is told."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'ablation-zoo[postgres]'" in refused(tmp_path, f"postgresql://me:{SECRET}@host/runs")


def test_databases_that_are_no_store(tmp_path, new_database):
    """A database of another program, of a newer or older format, or not of UTF-8 is refused and left as it is."""
    foreign, newer, older = (new_database() for _ in range(3))
    latin = new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    execute(foreign, "CREATE TABLE runs (mine text)", "INSERT INTO runs VALUES ('precious')")
    assert "another program, with tables that a store has too: runs" in refused(tmp_path, foreign)
    assert execute(foreign, "SELECT * FROM runs") == [("precious",)]
    for url, other in ((newer, FORMAT + 1), (older, FORMAT - 1)):
        Store.create_or_open(tmp_path, url).close()
        execute(url, f"UPDATE ablate_store SET format = {other}")
        message = refused(tmp_path, url)
        assert f"format {other}" in message
        assert f"format {FORMAT}" in message
    assert "LATIN1" in refused(tmp_path, latin)
    assert execute(latin, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_no_store_yet(tmp_path, new_database):
    """Reading an empty database is refused, makes nothing, and tells the command without the password."""
    url = new_database()
    _, password, server, database = parted(url)
    assert Store.find(tmp_path, url) is None
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path, url)
    assert f"--store postgresql://ablate@{server}/{database}" in str(caught.value)
    assert password not in str(caught.value)
    assert execute(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_who_may_only_read(tmp_path, new_database):
    """A user without the right to write sees what is stored, and is told when they would store something."""
    url = new_database()
    user, password, _, database = parted(url)
    Store.create_or_open(tmp_path, url).register("small", "text", [0], {})
    role = f"reader_{database}"
    execute(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    try:
        store = Store.create_or_open(tmp_path, url.replace(f"//{user}:", f"//{role}:"))
        assert [each.name for each in store.registrations()] == ["small"]
        with pytest.raises(StoreError, match="permission denied"):
            store.record_search("a", [], {})
        store.close()
    finally:
        execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_sixteen_runners_make_one_store(tmp_path, new_database):
    """Runners that begin at the same moment on an empty database all get the one store."""
    url, barrier = new_database(), threading.Barrier(16)

    def begin(number):
        barrier.wait()
        store = Store.create_or_open(tmp_path, url)
        store.register(str(number), "text", [0], {})
        store.close()
        return store.identity

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(begin, range(16)))) == 1
    store = Store.open(tmp_path, url)
    assert len(store.registrations()) == 16
    store.close()


def test_one_database_however_it_is_named(tmp_path, new_database):
    """Merging knows a store by itself and not by its URL."""
    url = new_database()
    _, password, server, _ = parted(url)
    Store.create_or_open(tmp_path, url).close()
    twin = url.replace("postgresql://", "postgres://").replace(server, server.replace("127.0.0.1", "localhost"))
    with pytest.raises(Exception, match="cannot be joined with itself") as caught:
        merge([url], twin, runs_dir=tmp_path)
    assert password not in str(caught.value)


@pytest.fixture
def own_server():
    """A folder with a server that a test may stop, and its URL."""
    if not (shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        pytest.skip("initdb is not here: no server can be started")
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra `postgres`")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "server"
        command = [ROOT / ".ci" / "postgres", "start", folder]
        url = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        yield folder, url
        subprocess.run([ROOT / ".ci" / "postgres", "stop", folder], check=True)


def restart(folder):
    subprocess.run([ROOT / ".ci" / "postgres", "restart", folder], check=True)


def test_restarted_server_loses_no_run(own_server, tmp_path, runs_of, start):
    """A runner goes on recording while the server is restarted: every run that it was told is stored is there."""
    folder, url = own_server
    script = f"""
        from pathlib import Path
        from benchmarks.plan.expansion import expand_cells, expand_runs
        from benchmarks.store import Store
        from benchmarks.suite.suite import Suite
        from benchmarks.results import RunResult
        suite = Suite(name="small", datasets=["digits"], seeds=150, model={{"variant": "mlp_small"}},
                      factors={{"model.activation": ["relu", "tanh"]}})
        store = Store.create_or_open(Path({str(tmp_path)!r}), {url!r})
        for run in expand_runs(expand_cells(suite), suite.seed_list, {{"digits": "1.0.0"}}):
            store.lease([run.key], "me")
            store.record(run, RunResult("done", {{"test_loss": run.seed / 7}}), {{"processor": "abacus"}})
            print(run.key)
        print("away" if store.back_since > 0 else "never away")
    """
    runs = runs_of(150)
    process = start(script, stderr=None)
    printed = [process.stdout.readline().strip() for _ in range(20)]
    restart(folder)
    printed += process.stdout.read().split("\n")[:-1]
    assert printed[-1] == "away", printed[-1]
    assert printed[:-1] == [run.key for run in runs]
    store = Store.open(tmp_path, url)
    assert {run.seed / 7 for run in runs} == {each.metrics["test_loss"] for each in store.runs(printed[:-1]).values()}
    assert {each.attempts for each in store.runs(printed[:-1]).values()} == {1}
    assert store.leases(printed[:-1]) == {}
    store.close()


def test_patience_ends(new_database, tmp_path, monkeypatch, caplog):
    """A server that stays away is given up after the stated time, by an error that names it; who ends does not wait."""
    monkeypatch.setattr("benchmarks.store.postgres.PATIENCE", 1.0)
    url = new_database()
    store = Store.create_or_open(tmp_path, url)
    user, password, server, database = parted(url)
    admin = url.replace(database, "postgres")
    execute(admin, f"DROP DATABASE {database} WITH (FORCE)")
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.statuses(["a"])
    assert 0.5 < time.monotonic() - began < 5
    assert f"postgresql://{user}@{server}/{database}: the store cannot be used" in str(caught.value)
    assert "trying again for 1 seconds" in caplog.text
    assert password not in str(caught.value) + caplog.text
    began = time.monotonic()
    Leases(store).release()
    assert time.monotonic() - began < 0.5
    store.close()


def test_time_without_a_server_ends_no_lease(tmp_path, new_database, runs_of):
    """While the server was away no runner could show that it lives: its leases end that much later."""
    store = Store.create_or_open(tmp_path, new_database())
    run, other = runs_of(1)
    holder, watcher = Leases(store, 0.5), Leases(store, 0.5)
    holder.take({0: run})
    assert watcher.others([run.key, other.key]) == {run.key}
    time.sleep(0.6)
    store.back_since = time.monotonic()
    assert watcher.others([run.key]) == {run.key}
    time.sleep(0.6)
    assert watcher.others([run.key]) == set()
    store.close()


SUITE = """
name = "activations"
datasets = ["digits"]
seeds = 6

[model]
variant = "mlp_small"

[factors]
"model.activation" = ["tanh", "relu", "gelu"]

[[claims]]
statement = "GELU beats tanh | \N{SNOWMAN}"
factor = "model.activation"
better = "gelu"
than = "tanh"
margin = 0.0
"""
FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "the official test split", "classification")


def fill(store, suite):
    """Record a suite with runs of every kind, and whatever numbers a training can leave."""
    import numpy as np

    from benchmarks.plan.expansion import expand_cells, expand_runs

    generator = np.random.default_rng(3)
    store.register(suite.name, SUITE, suite.seed_list, {"digits": FACTS})
    store.register_claims(suite.name, [RegisteredClaim("a", "b", 1, [0], {"alpha": 0.05}, 0)])
    store.record_search("s", [{"score": float("nan")}], {"train.learning_rate": 0.1})
    store.keep_labels("digits", "1.0.0", np.arange(360) % 10)
    for number, run in enumerate(expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})):
        accuracy, loss = generator.uniform(size=2).tolist()
        history = {"train_loss": [2.0, loss], "val_accuracy": [0.1, accuracy]}
        metrics = {"test_accuracy": accuracy, "test_nll": loss}
        predictions = generator.normal(size=(360, 10)).astype("<f2")
        result = RunResult("done", metrics, history, 5_000_000_000, loss, predictions=predictions)
        if number % 7 == 3:
            result = RunResult("diverged", {}, {"train_loss": [9.0, float("inf")]}, 3, message="step 3")
        if number == 5:
            result = RunResult("failed", message="ValueError: caf\udce9 ☃", traceback="line 1\nline 2")
        store.record(run, result, MACHINE)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_report_is_the_same_from_both(tmp_path, new_database):
    """A store that is copied to a server and back gives the same report byte by byte at each place."""
    suite, url = parse_suite(SUITE, "activations.toml"), new_database()
    first = Store.create_or_open(tmp_path / "first")
    fill(first, suite)
    (told,) = merge([tmp_path / "first"], url, runs_dir=tmp_path / "server")
    assert (told.runs, told.taken) == (18, 18)
    (told,) = merge([url], tmp_path / "back", runs_dir=tmp_path / "server")
    assert (told.runs, told.taken, told.store.count(parted(url)[1])) == (18, 18, 0)
    server, back = Store.open(tmp_path / "server", url), Store.open(tmp_path / "back")
    written = []
    for store in (first, server, back):
        folder = store.folder / "report"
        write_report(study_of(store, suite.name), folder)
        written.append(files_of(folder))
    assert set(written[0]) >= {"report.html", "report.md", "summary.csv", "runs.csv", "claims.json"}
    assert written[0] == written[1]
    assert written[0] == written[2]
    keys = first.keys()
    for store in (server, back):
        assert store.keys() == keys
        assert repr([store.attempt(key) for key in keys]) == repr([first.attempt(key) for key in keys])
        assert {key: each.tobytes() for key, each in store.predictions(keys).items()} == {
            key: each.tobytes() for key, each in first.predictions(keys).items()
        }
        assert store.labels("digits", "1.0.0").tobytes() == first.labels("digits", "1.0.0").tobytes()
        assert repr(store.searches(["s"])) == repr(first.searches(["s"]))
        assert store.claims("activations") == first.claims("activations")
    for store in (first, server, back):
        store.close()


def test_every_command_on_a_store_takes_a_server():
    """Each command with a runs folder takes --store too, but for those that use the folder for data, and merge."""
    without = {"datasets", "diagnose", "speed", "merge"}
    for command in COMMANDS:
        parameters = inspect.signature(command).parameters
        assert ("store_url" in parameters) == ("runs_dir" in parameters and command.__name__ not in without), command


TINY = """
name = "tiny"
datasets = ["digits"]
seeds = 4

[model]
variant = "mlp_small"

[train]
epochs = 1

[factors]
"model.activation" = ["tanh", "relu"]
"""

# Notes every attempt to store a run, also one that changes nothing since the run is there.
COUNTING = (
    "CREATE TABLE attempts (key text)",
    "CREATE FUNCTION note() RETURNS trigger AS "
    "$$ BEGIN INSERT INTO attempts VALUES (NEW.key); RETURN NEW; END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER note BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION note()",
)


def ablate(*arguments, url="", environment=()):
    """Start the command line, with `--store` if there is a URL."""
    options = ["--store", url] if url else []
    return subprocess.Popen(
        [sys.executable, "-c", "from benchmarks.cli import main; main()", *map(str, arguments), *options],
        cwd=ROOT,
        env=os.environ | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.night
@pytest.mark.slow
def test_two_machines_train_a_suite_together(tmp_path, new_database):
    """Two runners with folders of their own and one server train every run once; every command finds the results."""
    url = new_database()
    _, password, server, database = parted(url)
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY)
    Store.create_or_open(tmp_path / "one", url).close()
    execute(url, *COUNTING)
    one, two = ("--runs-dir", tmp_path / "one"), ("--runs-dir", tmp_path / "two")
    here = {"ABLATE_STORE": url}
    runners = [
        ablate("run", suite, "--workers", 1, "--keep-weights", *one, url=url),
        ablate("run", suite, "--workers", 1, "--keep-weights", *two, environment=here),
    ]
    told = [runner.communicate() for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], told
    assert execute(url, "SELECT count(*), count(DISTINCT key) FROM attempts") == [(8, 8)]
    texts = [*sum(told, ())]
    assert files_of(tmp_path / "one" / "tiny") == files_of(tmp_path / "two" / "tiny")
    assert not list(tmp_path.rglob(STORE_FILE))
    store = Store.open(tmp_path, url)
    key = next((tmp_path / "one" / "weights").iterdir()).stem
    shown = f"postgresql://ablate@{server}/{database}"
    labels, predictions, trained = store.labels("digits", "1.0.0"), store.predictions([key])[key], store.attempt(key)
    assert trained.metrics["test_accuracy"] == pytest.approx((predictions.argmax(axis=1) == labels).mean())
    store.close()
    for arguments, expected in (
        (["plan", suite, "--json", *one], '"done": 8'),
        (["status", "--json", *one], '"done": 8'),
        (["status", "tiny", *one], "done"),
        (["watch", "tiny", *one], "done"),
        (["logs", key[:12], *one], key),
        (["runs", "tiny", *one], key[:8]),
        (["report", suite, *one], "report"),
        (["merge", url, "--into", tmp_path / "copy", *one], f"{shown}: 8 runs: 8 copied"),
        (["compare", url, tmp_path / "copy"], f"A: {shown} (tiny)"),
        (["export", key[:12], tmp_path / "model", *one], "kept"),
        (["status", "--store", "", "--runs-dir", tmp_path / "copy", "--json"], '"done": 8'),
    ):
        process = ablate(*arguments, environment=here)
        texts += process.communicate()
        assert expected in "".join(texts[-2:]), texts[-2:]
    assert not any(password in text for text in texts)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes(), path
    dumped = execute(url, "SELECT string_agg(facts, '') FROM machines")
    assert password not in dumped[0][0]
