# `make help` says what there is. Everything made lies in .venv, .cache, build and src/fastpath/target.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .cache/stamps
CRATES := src/fastpath
CARGO := cargo
STEP := scripts/step

PYTHON_SOURCES := $(shell find src/mesh controlplane bench -type f \
	! -path '*/__pycache__/*' ! -path '*/target/*' ! -path 'bench/results/*' 2>/dev/null)
RUST_SOURCES := $(shell find $(CRATES) -type f \( -name '*.rs' -o -name 'Cargo.*' \) \
	! -path '*/target/*' ! -path '*/fuzz/*' 2>/dev/null)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

.PHONY: demo
demo: build ## Build, start upstreams and the proxy, send traffic, show it (ARGS=--once: check and end)
	@$(BIN)/mesh demo $(ARGS)

.PHONY: build
build: $(STAMPS)/build ## Build in release mode and install into .venv

.PHONY: test
test: lint $(STAMPS)/debian-test ## Install what the tests need, then run all checks and all tests
	@$(STEP) "cargo test" $(MAKE) test-rust
	@$(STEP) "build" $(MAKE) build
	@$(STEP) "pytest" $(MAKE) test-python
	@echo "All tests passed."

.PHONY: test-rust
test-rust: ## The Rust tests only (they need no Python)
	@cd $(CRATES) && $(CARGO) test --workspace --locked --quiet $(ARGS)

.PHONY: test-python
test-python: $(STAMPS)/build $(STAMPS)/debian-test ## The Python tests only (ARGS: what to pass to pytest)
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: conformance
conformance: $(STAMPS)/build $(STAMPS)/debian-test ## Every suite that others wrote, the slow ones too (minutes)
	@$(BIN)/python -m pytest -m "" tests/conformance $(ARGS)

.PHONY: conformance-timed
conformance-timed: $(STAMPS)/build $(STAMPS)/debian-test ## The abuse suite with its bar of 100 ms, on an idle machine
	@FASTMESH_CONFORMANCE_TIMED=1 $(BIN)/python -m pytest tests/conformance/test_h2_abuse.py $(ARGS)

.PHONY: durability
durability: $(STAMPS)/build ## kill -9, a thousand times each: certificates given out, mesh apply (half an hour)
	@$(BIN)/python -m pytest -s -m slow tests/integration/test_ca_kills.py \
		tests/integration/test_store_writers.py $(ARGS)

.PHONY: lint
lint: lint-rust lint-python ## Formatters, linters, type checker, layer and licence rules

.PHONY: lint-rust
lint-rust: $(STAMPS)/venv
	@$(STEP) "cargo fmt" scripts/each_workspace $(CARGO) fmt --all --check
	@$(STEP) "clippy" scripts/each_workspace $(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	@$(STEP) "clippy, with the Python glue" scripts/clippy_glue $(BIN)/python
	@$(STEP) "cargo deny" scripts/deny $(BIN)/python

.PHONY: lint-python
lint-python: $(STAMPS)/venv
	@$(STEP) "ruff" $(BIN)/ruff check --quiet .
	@$(STEP) "ruff format" $(BIN)/ruff format --check --quiet .
	@$(STEP) "mypy --strict" $(BIN)/mypy
	@$(STEP) "import-linter" env PYTHONPATH=src:. $(BIN)/lint-imports --no-cache

.PHONY: format
format: $(STAMPS)/venv ## Format Rust and Python
	@scripts/each_workspace $(CARGO) fmt --all
	@$(BIN)/ruff check --quiet --fix . && $(BIN)/ruff format --quiet .

.PHONY: develop
develop: $(STAMPS)/venv ## Let .venv use src/ as it is (maturin develop, Cython in place)
	@$(BIN)/cythonize -i -q src/mesh/accel/*.pyx && rm -f src/mesh/accel/*.c
	@cd $(CRATES) && VIRTUAL_ENV=$(abspath $(VENV)) $(abspath $(BIN))/maturin develop --release --quiet
	@rm -f $(STAMPS)/build

.PHONY: bench
bench: build ## mesh bench (ARGS: scenarios and options)
	@$(BIN)/mesh bench $(ARGS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for a minute (SECONDS_EACH=60; needs cargo-fuzz and nightly)
	@scripts/fuzz $(or $(SECONDS_EACH),60)

.PHONY: lock
lock: ## Move constraints.txt to the newest versions
	@scripts/lock $(PYTHON)

.PHONY: clean
clean: ## Remove everything made, compiled crates included
	rm -rf $(VENV) .cache build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf $(CRATES)/target $(CRATES)/fuzz/target bench/loadgen/target src/mesh/*.so src/mesh/accel/*.so

# -- stamps: a second run finds its work done --

$(STAMPS)/debian-build: scripts/debian
	@scripts/debian build $(PYTHON)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/debian-test: scripts/debian
	@scripts/debian test $(PYTHON)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/venv: pyproject.toml constraints.txt scripts/venv scripts/requirements.py $(STAMPS)/debian-build
	@$(STEP) "virtual environment" scripts/venv $(PYTHON) $(VENV)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/build: setup.py pyproject.toml $(PYTHON_SOURCES) $(RUST_SOURCES) | $(STAMPS)/venv
	@rm -rf build
	@$(STEP) "pip install . (the first release build takes minutes)" \
		$(BIN)/pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@mkdir -p $(@D) && touch $@
