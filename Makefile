# Two commands do everything, set-up included:
#   make study   rebuild the default study: data, models, tables, figures, MLflow
#   make test    pass the tests
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: study test smollm2 ui paper verify twice clean

study: .venv/ready
	@reproduce check
	dvc repro
	@echo "Done. Tables: paper/tables, figures: paper/figures, runs: make ui"

test: .venv/ready
	ruff check
	ruff format --check
	mypy
	pytest -n 2 --dist loadfile --no-loadscope-reorder

# The study of a real model on real text; downloads it, or takes it from REPRODUCE_MIRROR. It may
# be stopped at any stage: the same command goes on.
smollm2: .venv/ready
	@cd profiles/smollm2 && reproduce check
	cd profiles/smollm2 && dvc repro

# The MLflow UI over what the study logged.
ui: .venv/ready
	reproduce tracking
	mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

# The report, as a page and as a PDF, from the committed tables.
paper: .venv/ready
	reproduce paper

# Compare the results that are here with what to expect, claim by claim and file by file.
verify: .venv/ready
	reproduce verify

# Run the whole study again, without any cache, and compare every output byte by byte.
twice: .venv/ready
	reproduce verify --rerun --same-bytes

# The scripts of an environment name the folder where it was made: in a clone that was moved they
# would start the code of the old place, or nothing, so it is made anew.
MOVED := $(shell test -s .venv/ready && test "$$(cat .venv/ready)" != "$(CURDIR)" && echo --clear)
ifneq ($(MOVED),)
.PHONY: .venv/ready
endif

.venv/ready: export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
.venv/ready: requirements.lock constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info < (3, 12))' 2>/dev/null || \
		{ echo "needs Python 3.11.5 or a later 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(MOVED) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@echo "$(CURDIR)" > $@

clean:
	rm -rf artifacts logs mlflow.db mlartifacts
