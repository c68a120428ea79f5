# What a developer types. Everything happens in $(VENV); nothing else on the machine is changed.
PYTHON ?= python3
VENV ?= .venv
# Index that serves PyTorch alone, e.g. the one of its CPU builds; empty: the index that pip uses anyway.
TORCH_INDEX ?=
# Folder of the demo, its simulated participants, and minutes that the group level may train and predict.
DEMO ?= demo
DEMO_PARTICIPANTS ?= 4
DEMO_MINUTES ?= 2
# Folder in which the bundle that the package carries is made; docs/packaged_bundle.md.
BUNDLE ?= bundle
# Test processes at a time; each needs about 3 GB.
TEST_JOBS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A test process is one of several, so its libraries take one thread each. Files keep the order of tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: install demo bundle test test-long test-unit container container-test lint lint-infra slurm-test parallel-test kill-test docs format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; give PYTHON=...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --index-url $(TORCH_INDEX) --constraint constraints.txt torch)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint,docs]'
	@touch $@

demo: install
	@mkdir -p $(DEMO)
	test -d $(DEMO)/bids || { rm -rf $(DEMO)/bids.part && \
	  $(BIN)/synthprep-phantom $(DEMO)/bids.part --participants $(DEMO_PARTICIPANTS) --resolution 1.5 && \
	  mv $(DEMO)/bids.part $(DEMO)/bids; }
	$(BIN)/synthprep $(DEMO)/bids $(DEMO)/derivatives participant group --max-minutes $(DEMO_MINUTES)

# The bundle that the package carries, from nothing: half an hour of one core.
bundle: install
	@mkdir -p $(BUNDLE)
	test -d $(BUNDLE)/bids || { rm -rf $(BUNDLE)/bids.part && \
	  $(BIN)/synthprep-phantom $(BUNDLE)/bids.part --participants 18 --seed 2026 --randomize --complete && \
	  mv $(BUNDLE)/bids.part $(BUNDLE)/bids; }
	$(BIN)/python -c 'print("participant\tfold", *(f"sub-{n:02d}\t{n % 3}" for n in range(1, 19)), sep="\n")' \
	  > $(BUNDLE)/splits.tsv
	$(BIN)/synthprep $(BUNDLE)/bids $(BUNDLE)/derivatives participant group --splits $(BUNDLE)/splits.tsv \
	  --seed 2026 --omp-nthreads 1 --max-steps 1200 --augmentation physics --no-baseline --device cpu
	rm -rf bidsapp/models/T1w-to-FLAIR_phantom
	$(BIN)/synthprep-models share $(BUNDLE)/derivatives/models/T1w-to-FLAIR_unet \
	  bidsapp/models/T1w-to-FLAIR_phantom --license Apache-2.0 --notes docs/packaged_bundle.md --initializer

# What CI runs; tests marked "slow" run real graphs and trainings.
test: install
	$(PYTEST)

# Also those that CI has no time for: full disks, jobs at once, no network, what fails, the tutorial, the validator.
test-long: install
	SYNTHPREP_LONG=1 $(PYTEST) tests/e2e tests/docs

# The quick ones, in less than three minutes on two cores.
test-unit: install
	$(PYTEST) -m "not slow"

# The image for processors, as docs/containers.md has it.
container:
	DOCKER_BUILDKIT=1 docker build --tag synthprep .

# Builds the image and runs it without network, home or privilege, by Docker and by Apptainer; says what it skips, and why.
container-test: install
	PYTHON=$(BIN)/python tests/container/test.sh

# The scripts of docs/hpc.md on a SLURM that is started for it: as root, with Debian's slurm-wlm and munge.
slurm-test: install
	SYNTHPREP_SLURM_TEST=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v tests/slurm

# Twenty participant jobs that write into one folder at once.
parallel-test: install
	SYNTHPREP_LONG=1 SYNTHPREP_PARALLEL_JOBS=20 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v tests/e2e/test_parallel.py

# Kills both levels at 30 random moments, and compares what the same command then leaves with an undisturbed run.
kill-test: install
	SYNTHPREP_KILLS=30 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/e2e/test_interruption.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Dockerfile, workflows, shell scripts.
lint-infra: install
	BIN=$(BIN) .ci/lint-infra

# Pages in docs/_build/html; nothing is fetched, and a warning is an error.
docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

format: install
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf $(DEMO)/bids $(DEMO)/bids.part $(DEMO)/derivatives
	find bidsapp tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
