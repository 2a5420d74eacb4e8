# Each target does all its own set-up in .venv: Python 3.11 or newer and make are all it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A file is run by one process, so that what its tests share is made once. `tests/conftest.py` puts the longest first.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-quick test-night durations lint docs clean

demo: $(INSTALLED)
	$(BIN)/ablate run quickstart

test: $(INSTALLED)
	$(PYTEST)

test-quick: $(INSTALLED)
	$(PYTEST) -m "not slow and not night"

# All of it: every variant at every level, rates by simulation, properties on more examples; and what all of it runs.
test-night: $(INSTALLED)
	$(PYTEST) -m "" --hypothesis-profile night --cov --cov-report term:skip-covered

durations: $(INSTALLED)
	$(PYTEST) -m "" --hypothesis-profile day --write-durations

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports setup.cfg

docs: $(INSTALLED)
	$(BIN)/python -m benchmarks.cli.reference > docs/reference.md.new
	mv docs/reference.md.new docs/reference.md

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
