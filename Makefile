# Needs Python 3.11, bash and make; makes .venv itself. A comment after ## is what `make help` says.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# One thread per process is fastest on small networks; two processes use two cores.
export OMP_NUM_THREADS ?= 1

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 is needed: make PYTHON=python3.11")'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(PIP) -q 'pip>=25.1'  # shows how far an installation is
	@touch $@

$(VENV)/.run: pyproject.toml | $(VENV)/.pip
	@echo "Installing the libraries into $(VENV), PyTorch among them: a minute or two, and 1 GB to load the first time."
	@$(PIP) -e . | sed -u '/^Requirement already/d'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what the tests need on top: half a minute."
	@$(PIP) -e '.[dev]' | sed -u '/^Requirement already/d'
	@touch $@ $(VENV)/.solvers

$(VENV)/.solvers: $(VENV)/.run
	@$(PIP) -q -e '.[solvers]'
	@touch $@

run: $(VENV)/.run ## the first quarter of an hour: sets up, trains the default agent, shows it beside all rules (under 5 min)
	@$(BIN)/python -m studies.first_run

test: $(VENV)/.dev ## sets up, runs the tests but the slow ones (10 min, less when the kernels are compiled)
	@$(BIN)/python -m evaluation.warm
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev ## the tests that train for a minute or more
	$(BIN)/python -m pytest -m slow

fuzz: $(VENV)/.dev ## 10 000 damaged day files: each ends in a day or in a message, in seconds (minutes)
	FUZZ_CASES=10000 $(BIN)/python -m pytest -n 2 -m slow tests/fuzz

check: lint type test ## ruff, mypy, tests

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.dev ## mypy
	$(BIN)/mypy .

format: $(VENV)/.dev ## puts the sources into ruff's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.solvers ## how fast everything is, as ratios measured side by side (15 min): docs/results/speed.md
	$(BIN)/python -m studies.benchmark --large-day --learning --publish

results: $(VENV)/.run ## the table of the short shift (hours; resumable)
	$(BIN)/python -m studies.short_shift

operating-day: $(VENV)/.run ## agent and rules on the operating day, V3, four fleet sizes (hours; resumable)
	$(BIN)/python -m studies.operating_day

ablation: $(VENV)/.run ## what each part of the agent buys, short shift, V2 (hours; resumable)
	$(BIN)/python -m studies.ablation

stability: $(VENV)/.run ## two seeds trained five times longer (hours; resumable)
	$(BIN)/python -m studies.stability

real-days: $(VENV)/.run ## DATA=trips.csv: the table of the real days (hours; resumable)
	$(BIN)/python -m studies.real_days $(DATA)

promises: $(VENV)/.solvers ## DATA=trips.csv: what promises cost, on real days and on the operating day (hours; resumable)
	$(BIN)/python -m studies.promises $(DATA)

improvement: $(VENV)/.run ## DATA=trips.csv: what plan improvement is worth on real days (an hour)
	$(BIN)/python -m studies.improvement $(DATA)

search: $(VENV)/.run ## searches for settings of V1 and V2, 50 trials each, and their checks (hours; resumable)
	$(BIN)/python -m studies.search --pruning-check --speed-check

# ARGS: options of the study, such as --models-short trained-agents/v2-short-shift-seed*
opponents: $(VENV)/.solvers ## DATA=trips.csv: re-planners, hindsight and gaps, reduced size (half an hour; resumable)
	$(BIN)/python -m studies.opponents $(DATA) $(ARGS)

docs: $(VENV)/.run ## the pages as a site, built strictly and without the network: site/index.html
	@$(PIP) -q -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

requirements: ## writes requirements*.txt from pyproject.toml
	@$(PYTHON) .ci/requirements.py

clean: ## removes the compiled kernels and the caches of the tools
	rm -rf .numba_cache .pytest_cache .mypy_cache .ruff_cache
