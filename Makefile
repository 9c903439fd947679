# Everything a newcomer types. Needs Python 3.11 to 3.13, make, and a package index.
PYTHON ?= python3
BIN := .venv/bin
SWEEP ?= sweeps/quick.yaml
# TORCH=cpu takes PyTorch's build without CUDA, a third of the size. The package index does not
# have it: pytorch.org names the index that does, for TORCH_INDEX or for pip's own settings.
TORCH ?=
TORCH_INDEX ?=
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
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
ifeq ($(TORCH),cpu)
	@echo "Installing PyTorch without CUDA, bpsweep and what it needs into .venv (about 1.7 GB)"
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(sed -n 's/^torch==.*/&+cpu/p' constraints.txt)" || { \
	  echo "make: no package index named here has PyTorch's CPU build." \
	       "Choose CPU on pytorch.org, and name the index that it shows: make $(MAKECMDGOALS) TORCH=cpu TORCH_INDEX=..." >&2; exit 1; }
else ifneq ($(TORCH),)
	@echo "make: TORCH=$(TORCH) is not known: TORCH=cpu, or nothing for the build of the package index" >&2; exit 1
else
	@echo "Installing bpsweep and what it needs into .venv (5.4 GB with PyTorch for CUDA GPUs;" \
	      "without a GPU \`make $(MAKECMDGOALS) TORCH=cpu\` takes 1.7 GB). A few minutes."
endif
	$(PIP) --editable .
	@touch $@

.venv/test: .venv/run
	$(PIP) --editable '.[test]'
	@touch $@

.venv/bench: .venv/test
	$(PIP) --editable '.[test,bench]'
	@touch $@
