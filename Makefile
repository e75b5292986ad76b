# CareLoop. Needs: python3 (3.11 or newer, with venv), make. Everything else comes from PyPI, locked by hash.
# `make help` lists the targets.

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
UV := .venv/uv/bin/uv
UV_VERSION := 0.13.9
READY := .venv/.ready
CODE := app alembic tests bench tools
# What is said about the program: checked by `make check`, and left out of `make test`.
DESCRIPTIONS := tests/docs tests/openapi/test_document.py tests/openapi/test_examples.py
LOCK := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --quiet

# Programs that want a home or a locale get along without the user's.
export LC_ALL ?= C.UTF-8
# Hospitals' networks often have a certificate authority of their own, which the system knows and uv does not.
export UV_SYSTEM_CERTS ?= 1
ifeq ($(HOME),)
export HOME := $(CURDIR)/.venv/home
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo serve check test slow chaos fuzz bench lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## install everything into .venv

$(READY): requirements-dev.txt pyproject.toml $(UV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

demo: setup ## serve with made-up data at http://127.0.0.1:8000
	@$(BIN)/careloop demo

serve: setup ## serve what is in data/, or the database of CARELOOP_DATABASE_URL
	@$(BIN)/careloop serve

check: setup ## style, types, layers, schema, guides, description of the API
	$(BIN)/ruff check $(wildcard $(CODE))
	$(BIN)/ruff format --check $(wildcard $(CODE))
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	env -u CARELOOP_DATABASE_URL $(BIN)/careloop migrate --check --data-dir "$$scratch" && echo 'The migrations make the tables as declared.'
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal $(DESCRIPTIONS)

test: setup ## every test but the slow ones and those of `make check`
	$(BIN)/pytest -n $(JOBS) $(addprefix --ignore=,$(DESCRIPTIONS)) $(ARGS)

slow: setup ## the slow tests; results go to docs/slow.md
	$(BIN)/pytest -m slow $(ARGS)

chaos: setup ## thousands of referrals while everything fails and is killed; ARGS=--help; result to docs/slow.md
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: setup ## random requests to every resource type, FUZZ_SECONDS (300) each; FUZZ_SEED repeats a run
	$(BIN)/pytest -m fuzz tests/openapi/test_schemathesis.py $(ARGS)

bench: setup ## measure; results depend on the machine
	$(BIN)/python -m bench $(ARGS)

lock: $(UV) ## choose new versions of all packages
	$(LOCK) --upgrade -o requirements.txt
	$(LOCK) --upgrade --group dev -c requirements.txt -o requirements-dev.txt

clean: ## remove what can be made again; data/ stays
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
