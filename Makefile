# Everything a newcomer types. Needs Python 3.11 or newer, make, and a package index.
PYTHON ?= python3
BIN := .venv/bin
SWEEP ?= sweeps/quick.yaml
# mypy does not follow setup.cfg's package_dir: it finds bpsweep.agent and the others by links.
LINKS := .venv/types/bpsweep

.DEFAULT_GOAL := help
.PHONY: help sweep serve test test-slow check bench bench-data clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

sweep: .venv/run ## install, make the synthetic images, work off SWEEP (sweeps/quick.yaml), print the verdict
	$(BIN)/bpsweep run $(SWEEP)

serve: .venv/run ## install, run the embedded W&B server until Ctrl-C
	$(BIN)/bpsweep serve

test: check ## install, then style, types and the tests, all but the slow ones
	$(BIN)/pytest -m "not slow"

test-slow: .venv/test ## the slow tests: whole sweeps, browsers, processes killed at random
	$(BIN)/pytest -m slow

check: .venv/test ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(LINKS)
	@for folder in agent data models report server; do ln -sfn "$(CURDIR)/$$folder" $(LINKS)/$$folder; done
	MYPYPATH=$(dir $(LINKS)) $(BIN)/mypy

bench: .venv/bench ## measure us against other ways, write benchmarks/RESULTS.md; half an hour, leave the machine alone
	$(BIN)/python benchmarks

bench-data: .venv/test ## measure the data path on synthetic images (benchmarks/data_*.py), in about two minutes
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; trap 'exit 1' INT TERM; set -x; \
	$(BIN)/bpsweep data make --data-dir "$$folder/images" --n-images 3000; \
	$(BIN)/python benchmarks/data_cache.py "$$folder/images"; \
	$(BIN)/python benchmarks/data_loader.py "$$folder/images" --seconds 0.5; \
	$(BIN)/python benchmarks/data_foci.py --n-cells 50; \
	$(BIN)/python benchmarks/data_sham.py --n-images 3000

clean: ## remove the virtual environment and what tests leave; data and results stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bpsweep needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing bpsweep and what it needs into .venv (about 2 GB; a minute or two)"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/test: .venv/run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

.venv/bench: .venv/test
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,bench]'
	@touch $@
