# The whole developer interface. Every target makes .venv itself.
PYTHON ?= python3
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow test-all test-deepxde test-oldest lint stale hooks notebooks notebooks-small docs evidence evidence-runs \
  bench bench-full bench-suite ablation regimes clean

# The main job: an unmodified DeepXDE script, plainly and with a method chosen by diagnosis.
demo: .venv/installed
	$(BIN)/conflictopt run examples/burgers.py --method auto --against none
	@echo "A script of your own: $(BIN)/conflictopt diagnose SCRIPT.py, then" \
	  "$(BIN)/conflictopt run SCRIPT.py --against none (-h lists the options)"

# The tests without those marked slow, with few examples of each property: minutes on two cores.
QUICK := -m 'not slow' --hypothesis-profile=quick
test: .venv/installed
	$(BIN)/python -m pytest -q -n 2 $(QUICK)

# Those marked slow; CI runs both.
test-slow: .venv/installed
	$(BIN)/python -m pytest -q -n 2 -m slow

# Every test, with all examples of each property.
test-all: .venv/installed
	$(BIN)/python -m pytest -q -n 2

# The integration on the older DeepXDE releases it supports (constraints.txt has the newest).
test-deepxde: .venv/installed
	for v in 1.13.2 1.14.0; do \
	  PIP_CONSTRAINT= $(BIN)/python -m pip install -q --no-deps --upgrade \
	    --target build/deepxde-$$v deepxde==$$v && \
	  PYTHONPATH=build/deepxde-$$v $(BIN)/python -m pytest -q tests/integrations || exit 1; \
	done

# The library on the oldest releases that it allows (.ci/oldest.txt). Not in CI: torch of that age
# comes with CUDA alone, several GB.
OLDEST_PYTHON ?= python3.10
OLDEST_TESTS := $(addprefix tests/,core optim methods adapters diagnosis selection)
test-oldest:
	$(OLDEST_PYTHON) -m venv build/oldest
	PIP_CONSTRAINT= build/oldest/bin/python -m pip install --quiet -r .ci/oldest.txt
	PIP_CONSTRAINT= build/oldest/bin/python -m pip install --quiet --no-deps --editable .
	build/oldest/bin/python -m pytest -q -n 2 $(QUICK) $(OLDEST_TESTS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/python .ci/import_cycles.py

# Whether the sections that are made from the code say what the code says ('make docs' writes them).
stale: .venv/installed
	$(BIN)/python -m pytest -q -n 0 tests/package/test_docs.py

# Have git run linters and that check before a commit.
hooks: .venv/installed
	$(BIN)/pre-commit install

# The notebooks with their full budgets, outputs written in place: about half an hour.
notebooks: .venv/installed
	$(BIN)/python notebooks/execute.py

# The same cells with small budgets, written nowhere but to build/: minutes.
notebooks-small: .venv/installed
	$(BIN)/python notebooks/execute.py --small --workers 2 --out build/notebooks

# The sections of the documents that say what the code says: tables of methods, an example.
docs: .venv/installed
	$(BIN)/python docs/generate.py

# Every number and figure of README, docs and the notebook on evidence, from the records alone.
evidence: .venv/installed
	$(BIN)/python -m benchmarks.adapter_ablation --tables
	$(BIN)/python -m benchmarks.suite_regimes --table
	$(BIN)/python -m benchmarks.learning_rates --table
	$(BIN)/python -m benchmarks.plan_screen --table
	$(BIN)/python -m benchmarks.curvature_study --table
	$(BIN)/python -m benchmarks.first_order_study --table
	$(BIN)/python -m benchmarks.first_order_examples --tables
	$(BIN)/python -m benchmarks.auto_study --table
	$(BIN)/python -m benchmarks.script_study --tables
	$(BIN)/python -m benchmarks.loop_study --tables
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python notebooks/execute.py 04_evidence

# The runs behind it that have no record yet: hours without records; stop and start at will.
evidence-runs: .venv/installed
	$(BIN)/python -m benchmarks.curvature_study
	$(BIN)/python -m benchmarks.first_order_study
	$(BIN)/python -m benchmarks.auto_study
	$(BIN)/python -m benchmarks.evidence --run

# What a step and its aggregation cost beside the plain step and other packages: about 7 minutes.
bench: .venv/bench-installed
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.step_cost --quick
	$(BIN)/python -m benchmarks.solver_cost --quick

# What a run of each problem of the suite takes: about 10 minutes.
bench-suite: .venv/bench-installed
	$(BIN)/python -m benchmarks.suite_cost

# The runs behind docs/adapters.md that have no record yet, and its tables: hours without records.
ablation: .venv/installed
	$(BIN)/python -m benchmarks.adapter_ablation

# The studies of docs/diagnosis.md: regimes of the suite (runs that have no record yet), and how
# often synthetic problems are diagnosed as they were built.
regimes: .venv/installed
	$(BIN)/python -m benchmarks.suite_regimes
	$(BIN)/python -m benchmarks.synthetic_regimes
	$(BIN)/python -m benchmarks.synthetic_regimes --figure

# The numbers and figures of the documents: about 45 minutes on an otherwise idle machine.
bench-full: .venv/bench-installed
	$(BIN)/python -m benchmarks.step_cost
	$(BIN)/python -m benchmarks.step_cost --figure
	$(BIN)/python -m benchmarks.solver_cost
	$(BIN)/python -m benchmarks.solver_cost --figure

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

.venv/bench-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv build dist report *.egg-info
