# make run: set up, train, evaluate, show the table.  make test: set up, run the tests.  The rest: make help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread per process is fastest on small networks; two processes use two cores.
export OMP_NUM_THREADS ?= 1

.PHONY: help run test test-slow check lint type format benchmark results operating-day ablation stability improvement \
	real-days opponents search docs clean

help:
	@echo "make run        set up, train V2 with stock DQN, evaluate it against all rules (under 15 min)"
	@echo "make test       set up, run the tests"
	@echo "make check      ruff, mypy, tests"
	@echo "make results    the README's table on the short shift (hours; resumable)"
	@echo "make operating-day  agent and rules on the operating day, V3, four fleet sizes (hours; resumable)"
	@echo "make ablation   what each part of the agent buys, short shift, V2 (hours; resumable)"
	@echo "make stability  two seeds trained five times longer (hours; resumable)"
	@echo "make real-days DATA=trips.csv   the README's table on real days (hours; resumable)"
	@echo "make opponents DATA=trips.csv   re-planners, hindsight and gaps, reduced size (half an hour; resumable)"
	@echo "make improvement DATA=trips.csv  what plan improvement is worth on real days (an hour)"
	@echo "make search     hyperparameter searches of V1 and V2, 50 trials each, and their checks (hours; resumable)"
	@echo "make benchmark  how fast everything is, as ratios measured side by side (15 min): docs/results/speed.md"
	@echo "make docs       build the pages as a site, strictly and without the network: site/index.html"

$(VENV)/.run: requirements.txt
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt requirements-postgresql.txt requirements-solvers.txt
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@ $(VENV)/.run $(VENV)/.solvers

$(VENV)/.solvers: $(VENV)/.run requirements-solvers.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-solvers.txt
	@touch $@

run: $(VENV)/.run
	$(BIN)/python train.py --reward v2 --algo dqn --hyperparams-block Dispatch-v0-quick -P --verbose 0 -f logs/first-run
	$(BIN)/python evaluate.py --model "$$(ls -td logs/first-run/v2/dqn/*/ | head -1)" --episodes 100 --compare-baseline

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

check: lint type test

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.dev
	$(BIN)/mypy .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.solvers
	$(BIN)/python -m studies.benchmark --large-day --learning --publish

results: $(VENV)/.run
	$(BIN)/python -m studies.short_shift

operating-day: $(VENV)/.run
	$(BIN)/python -m studies.operating_day

ablation: $(VENV)/.run
	$(BIN)/python -m studies.ablation

stability: $(VENV)/.run
	$(BIN)/python -m studies.stability

real-days: $(VENV)/.run
	$(BIN)/python -m studies.real_days $(DATA)

improvement: $(VENV)/.run
	$(BIN)/python -m studies.improvement $(DATA)

search: $(VENV)/.run
	$(BIN)/python -m studies.search --pruning-check --speed-check

# ARGS: options of the study, such as --models-short trained-agents/v2-short-shift-seed*
opponents: $(VENV)/.solvers
	$(BIN)/python -m studies.opponents $(DATA) $(ARGS)

docs: $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .numba_cache .pytest_cache .mypy_cache .ruff_cache
