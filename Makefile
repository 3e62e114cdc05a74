# Two commands start from nothing but Python 3.11 and pip: `make demo` and `make test`. Each does its own set-up, in
# .venv, behind a stamp, so that a second run starts at once.

# The first of these that is new enough; or set PYTHON=/path/to/python3.11.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# The version is pinned and comes first: a looser request, with no torch installed, pulls gigabytes of CUDA libraries.
TORCH ?= torch==2.13.0
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Two processes; `make unit PYTEST_ARGS=` for one, `PYTEST_ARGS='-k locate'` for some tests.
PYTEST_ARGS ?= -n 2
OUT ?= demo

export MPLBACKEND := Agg
.DEFAULT_GOAL := help
.NOTPARALLEL: # the tests come last, so that their summary is the last thing printed
.PHONY: help setup setup-dev demo test lint types imports docs unit test-slow bench format clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/.venv-stamp:
	@test -n "$(PYTHON)" || { echo "splinegeo needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.user-stamp: $(VENV)/.venv-stamp pyproject.toml
	$(PIP) install -qq $(TORCH)
	$(PIP) install -qq --editable .
	@touch $@

$(VENV)/.dev-stamp: $(VENV)/.user-stamp
	$(PIP) install -qq --editable '.[dev]'
	@touch $@

setup: $(VENV)/.user-stamp ## .venv with splinegeo in it
setup-dev: $(VENV)/.dev-stamp ## the same with the tools of its developers

demo: $(VENV)/.user-stamp ## the exact partition of a trained toy generator: counts here, pictures in ./demo
	$(BIN)/splinegeo demo --out $(OUT)

test: lint types imports docs unit ## everything that CI checks

lint: $(VENV)/.dev-stamp ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-stamp ## mypy
	$(BIN)/mypy

imports: $(VENV)/.dev-stamp ## imports point one way
	$(BIN)/lint-imports

docs: $(VENV)/.dev-stamp ## the documentation, warnings as errors, no network: docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

unit: $(VENV)/.dev-stamp ## tests and doctests, warnings as errors
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.dev-stamp ## the tests that are too slow for every change
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

bench: $(VENV)/.dev-stamp ## speed and memory, as a table and as JSON
	$(BIN)/python -m benchmarks.plane

format: $(VENV)/.dev-stamp ## put the code in its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## what was built, not .venv
	rm -rf build dist demo docs/_build docs/gallery .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find splinegeo tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
