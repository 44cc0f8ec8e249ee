# `make quickstart` and `make test` work on a fresh machine with Python 3.11 and Debian's make.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 3000
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export SDG_STORE ?= $(CURDIR)/data
SUM := $(shell cat pyproject.toml .ci/constraints.txt .ci/setup | cksum | cut -d' ' -f1)
READY := $(VENV)/.ready-$(SUM)
READY_DEV := $(VENV)/.ready-dev-$(SUM)

.PHONY: quickstart lint test test-long ui setup setup-dev clean

quickstart: setup ## set up, then run all stages with the embedded teacher
	$(BIN)/sdg quickstart

lint: setup-dev ## style, types, import layers, and whether the definitions load
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/dagster definitions validate

test: lint ## set up, then run lint and the tests: under 20 minutes on two cores
	$(BIN)/python -m pytest

test-long: lint ## runs that are killed, restarted and clicked through: about 15 minutes
	$(BIN)/python -m pytest -m long --numprocesses=2

ui: setup ## start webserver and daemon on http://127.0.0.1:$(PORT)
	$(BIN)/dagster dev --host 127.0.0.1 --port $(PORT) --workspace workspace.yaml

setup: $(READY) $(DAGSTER_HOME)/dagster.yaml ## the environment that the pipeline runs in
	@cmp -s dagster.yaml "$(DAGSTER_HOME)/dagster.yaml" || \
		echo "$(DAGSTER_HOME)/dagster.yaml differs from this checkout's dagster.yaml, and is kept"

setup-dev: setup $(READY_DEV) ## what lint and the tests need beside it

$(READY):
	.ci/setup "$(PYTHON)" "$(VENV)"
	touch $@

$(READY_DEV): $(READY)
	.ci/setup "$(PYTHON)" "$(VENV)" dev
	touch $@

# Order-only: a newer checkout once replaced a user's file, and with it the address of the instance's
# PostgreSQL database, by an empty SQLite instance.
$(DAGSTER_HOME)/dagster.yaml: | dagster.yaml
	mkdir -p "$(DAGSTER_HOME)"
	cp dagster.yaml $@

clean: ## remove the virtual environment; keep data/ and the Dagster instance
	rm -rf $(VENV)
