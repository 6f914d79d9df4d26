# Two commands do everything, set-up included:
#   make study   rebuild the default study: data, models, tables, figures, MLflow
#   make test    pass the tests
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13) python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: study test test-all lint smollm2 ui paper verify twice clean

# $(1) is the folder of a profile. It may differ from what is published: that is a result, too.
define run
@cd $(1) && reproduce check
cd $(1) && began=$$(date +%s) && dvc repro && echo "Took $$((($$(date +%s) - began) / 60)) min."
-@cd $(1) && reproduce verify
@echo "Next: $(1)/artifacts/tables/claims.md, $(1)/artifacts/figures/trade-off.png, make ui (all runs)"
endef

study: .venv/ready
	$(call run,.)

# Linters run next to the fast tests, in two processes.
test: .venv/ready
	@$(MAKE) --no-print-directory -j 2 lint fast-tests

test-all: .venv/ready
	@$(MAKE) --no-print-directory -j 2 lint all-tests

.PHONY: fast-tests all-tests
fast-tests:
	pytest -n 2 --dist worksteal -m "not slow"
all-tests:
	pytest -n 2 --dist loadfile

lint: .venv/ready
	ruff check
	ruff format --check
	mypy

# The study of a real model on real text; downloads it, or takes it from REPRODUCE_MIRROR. It can be
# stopped at any stage: the same command resumes.
smollm2: .venv/ready
	$(call run,profiles/smollm2)

# The MLflow UI with the runs of the study.
ui: .venv/ready
	reproduce tracking
	mlflow ui --backend-store-uri sqlite:///mlflow.db

# Copy tables and figures to paper/, and update what is derived from them: README, report, timings.
paper: .venv/ready
	reproduce publish

# Compare the results of this machine with the published ones.
verify: .venv/ready
	reproduce verify

# Run the whole study again, without any cache, and compare the checksum of every output. `dvc
# checkout` brings the former outputs back, given the former dvc.lock.
twice: .venv/ready
	dvc repro
	cp dvc.lock .dvc/tmp/former.lock
	dvc repro --force --no-run-cache
	diff -u .dvc/tmp/former.lock dvc.lock
	@echo "IDENTICAL: every output of every stage"

# The scripts of an environment name the folder where it was made: in a clone that was moved they
# would start the code of the old folder, or nothing, so it is made again.
MOVED := $(shell test -s .venv/ready && test "$$(cat .venv/ready)" != "$(CURDIR)" && echo --clear)
ifneq ($(MOVED),)
.PHONY: .venv/ready
endif

.venv/ready: export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
.venv/ready: requirements.lock constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info < (3, 14))' 2>/dev/null || \
		{ echo "needs Python 3.11.5 to 3.13: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(MOVED) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@echo "$(CURDIR)" > $@

clean:
	git clean -fdXq artifacts
	rm -rf logs mlflow.db mlartifacts
