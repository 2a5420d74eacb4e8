# Each target does all its own set-up in .venv: Python 3.11 or newer and make are all it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-quick lint docs clean

demo: $(INSTALLED)
	$(BIN)/ablate run quickstart

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto

test-quick: $(INSTALLED)
	$(BIN)/python -m pytest -n auto -m "not slow"

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
