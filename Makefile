# make run and make test need Python 3.11, make and g++; everything else they install into .venv.
PYTHON ?= python3.11
CONFIG ?= configs/default.yaml
ARGS ?=

SHELL := /bin/bash
BIN := .venv/bin
export PYTHON
# DeepSpeed looks for ninja on the PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env run lint docs test test-fast throughput scale chaos same lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## make or update .venv from requirements.lock
	@tools/install.sh

run: env ## run the loop: CONFIG=configs/default.yaml ARGS='--set rounds=2'
	$(BIN)/knowlip run $(CONFIG) $(ARGS)

lint: env ## check rules, format, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/codespell

test-fast: env ## run the unit tests alone, which start no cluster, engine or server: ARGS='-k losses'
	$(BIN)/python -m pytest -q tests/unit -n 2 --dist loadfile $(ARGS)

test: env ## run all tests: ARGS='-k losses'
	tools/test.sh $(ARGS)

docs: env ## build the documentation as a site in build/docs; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

throughput: env ## measure and print the numbers of the README
	$(BIN)/knowlip throughput $(ARGS)

scale: env ## measure how a round's data path grows with the corpus: ARGS='--sizes 1000,4000 --out runs/scale'
	$(BIN)/knowlip scale $(ARGS)

chaos: env ## inject every fault into real runs: ARGS='--out runs/chaos --seeds 20 --only captioner'
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

same: env ## prove that a refactoring changed nothing: two small runs against tools/same.json
	$(BIN)/python tools/same.py $(ARGS)

lock: env ## write requirements.lock anew from pyproject.toml and what is installed
	$(BIN)/python tools/lock.py

clean: ## remove the environment and caches; runs/ and data/ stay
	rm -rf .venv .venv.lock build *.egg-info .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
