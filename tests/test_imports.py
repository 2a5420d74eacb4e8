"""Who imports whom: zoo <- benchmarks -> tuning, and what stays unimported until it is needed."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"zoo", "tuning", "benchmarks"}
MAY_IMPORT = {"zoo": set(), "tuning": set(), "benchmarks": {"zoo", "tuning"}}


def imported_modules(source: str) -> set[str]:
    """Name every module that a source imports anywhere, by statement or by a call with its name; "." if relative."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            if name in ("import_module", "__import__"):
                found.add(node.args[0].value)
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import benchmarks.store as s, json", {"benchmarks.store", "json"}),
        ("from benchmarks import store", {"benchmarks"}),
        ("def f():\n    from benchmarks.store import Store", {"benchmarks.store"}),
        ("if TYPE_CHECKING:\n    import benchmarks", {"benchmarks"}),
        ("from ..benchmarks import store", {"."}),
        ("importlib.import_module('benchmarks.store')", {"benchmarks.store"}),
        ("import_module('benchmarks')", {"benchmarks"}),
        ("__import__('benchmarks')", {"benchmarks"}),
        ("'import benchmarks'  # import benchmarks", set()),
    ],
)
def test_every_way_of_importing_is_seen(source, expected):
    """The parser of this file finds imports wherever and however they are written, and no text about them."""
    assert imported_modules(source) == expected


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_import_one_way_only(package):
    """The zoo and tuning import none of the project's other packages; benchmarks may import both."""
    assert sources(package), f"{package} has no sources"
    for path in sources(package):
        imported = {module.split(".")[0] for module in imported_modules(path.read_text(encoding="utf-8"))}
        wrong = imported & PACKAGES - {package} - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"
        assert "" not in imported, f"{path.relative_to(ROOT)} has a relative import: write the package's name"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_do_not_import_tests(package):
    """What is installed needs nothing that is not."""
    for path in sources(package):
        assert not {"tests", "pytest", "hypothesis"} & {
            module.split(".")[0] for module in imported_modules(path.read_text(encoding="utf-8"))
        }, path


def test_zoo_needs_little():
    """Those who only want the models need Keras, NumPy and pydantic, and no other library."""
    imported = set().union(*(imported_modules(path.read_text(encoding="utf-8")) for path in sources("zoo")))
    third_party = {module.split(".")[0] for module in imported} - sys.stdlib_module_names - {"zoo"}
    assert third_party <= {"keras", "numpy", "pydantic", "pydantic_core"}


def checked_order(folder: Path, *, module: str = "", line: str = "") -> tuple[int, str]:
    """Exit code and output of the check of the order of rooms, on a copy of the sources with a line put in."""
    for package in sorted(PACKAGES):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    if module:
        path = folder / module
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n\n{line}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "setup.cfg"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_rooms_keep_their_order(tmp_path):
    """Each room imports those below it alone, no files import each other in a circle, and every room has its place."""
    code, output = checked_order(tmp_path)
    assert code == 0, output
    assert "0 broken" in output


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("benchmarks/plan/groups.py", "from benchmarks.report import writing", "benchmarks.plan.groups"),
        ("benchmarks/runs.py", "if TYPE_CHECKING:\n    from benchmarks.store import Store", "benchmarks.runs"),
        ("benchmarks/labels.py", "def late():\n    import benchmarks.metrics", "benchmarks.labels"),
        ("benchmarks/store/tables.py", "import benchmarks.suite.claims", "benchmarks.store.tables"),
        ("benchmarks/plan/expansion.py", "import benchmarks.plan.study", ".expansion"),
        ("zoo/seeds.py", "import tuning", "zoo.seeds"),
        ("benchmarks/attic.py", "import math", "attic"),
    ],
)
def test_imports_out_of_order_are_found(module, line, told, tmp_path):
    """An import of a higher room is found, in functions and for types too; so are circles, and rooms without place."""
    code, output = checked_order(tmp_path, module=module, line=line)
    assert code == 1
    assert told in output


def run_python(code: str, **environment: str) -> str:
    """Run code in an interpreter of its own and give what it prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | environment
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listing_models_needs_no_keras():
    """Listing models and making configs imports neither Keras nor TensorFlow, which take seconds."""
    output = run_python(
        "import sys, zoo; "
        "print(zoo.list_models()); "
        "print(zoo.model_config('resnet20').depth); "
        "print(sorted({'keras', 'tensorflow', 'numpy', 'zoo'} & set(sys.modules)))"
    )
    models, depth, modules = output.splitlines()
    assert "resnet20" in models
    assert depth == "20"
    assert "keras" not in modules
    assert "tensorflow" not in modules
    assert "zoo" in modules


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_models_run_on_jax_without_tensorflow():
    """Where Keras runs on JAX, a model is built, run and audited without TensorFlow."""
    output = run_python(
        "import sys, zoo, numpy as np; "
        "model = zoo.create_model('mlp_small', input_shape=(8, 8, 3), normalization='layer', drop_connect=0.1); "
        "print(model(np.zeros((2, 8, 8, 3), 'float32'), training=True).shape); "
        "print(zoo.audit_model(model).weight_layers); "
        "print(sorted({'jax', 'keras', 'tensorflow'} & set(sys.modules)))",
        KERAS_BACKEND="jax",
    )
    assert output.splitlines() == ["(2, 10)", "3", "['jax', 'keras']"]
