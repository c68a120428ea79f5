# What a developer types. Everything happens in $(VENV); nothing else on the machine is changed.
PYTHON ?= python3
VENV ?= .venv
# Index that serves PyTorch alone, e.g. the one of its CPU builds; empty: the index that pip uses anyway.
TORCH_INDEX ?=
# Folder of the demo, its simulated participants, and minutes that the group level may train and predict.
DEMO ?= demo
DEMO_PARTICIPANTS ?= 4
DEMO_MINUTES ?= 2
# Test processes at a time; each needs about 3 GB.
TEST_JOBS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A test process is one of several, so its libraries take one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

.PHONY: install demo test test-unit lint format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; give PYTHON=...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --index-url $(TORCH_INDEX) --constraint constraints.txt torch)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: install
	@mkdir -p $(DEMO)
	test -d $(DEMO)/bids || { rm -rf $(DEMO)/bids.part && \
	  $(BIN)/synthprep-phantom $(DEMO)/bids.part --participants $(DEMO_PARTICIPANTS) --resolution 1.5 && \
	  mv $(DEMO)/bids.part $(DEMO)/bids; }
	$(BIN)/synthprep $(DEMO)/bids $(DEMO)/derivatives participant group --max-minutes $(DEMO_MINUTES)

# All tests; those marked "slow" run real graphs and trainings.
test: install
	$(PYTEST)

# The quick ones, in less than three minutes on two cores.
test-unit: install
	$(PYTEST) -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf $(DEMO)/bids $(DEMO)/bids.part $(DEMO)/derivatives
	find bidsapp tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
