# `make` lists what one can do. Every target sets up what it needs in .venv; nothing is installed outside it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build/demo
DATA ?= ../shared/data

.PHONY: help setup demo test lint format bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,export,dev]'
	@touch $@

setup: $(VENV)/.installed  ## install everything into .venv

demo: setup  ## make a sample camera clip, learn, watch it live, and judge what was published
	$(BIN)/patchedge-export demo $(DEMO) --run --force

test: setup  ## run the tests
	$(BIN)/python -m pytest

lint: setup  ## ruff, mypy (strict) and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## let ruff format the code
	$(BIN)/ruff format .

bench: setup  ## accuracy and speed on the real pictures in DATA, from published scores
	$(BIN)/python -m tests.bench.accuracy $(DATA)

clean:  ## remove what the other targets made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
