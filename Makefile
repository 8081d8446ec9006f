# Every target is one call of one tool; `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SETUP := @$(PYTHON) perfloop/stack/bootstrap.py

.PHONY: help setup setup-dev setup-bench tools up down test check format generate bench demo clean

help: ## Show what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with what the stack needs
	$(SETUP) all

setup-dev: ## Make .venv with what the checks and tests need too
	$(SETUP) all dev

setup-bench: setup-dev ## Make one environment for each peer that the benchmarks measure
	@$(BIN)/python benchmarks/peers.py

tools: setup ## Fetch Prometheus and Alertmanager where they are missing
	@$(BIN)/python -m perfloop.stack.programs

up: setup ## Start the whole stack and print every URL
	@$(BIN)/perfloop up

down: setup ## Stop the whole stack
	@$(BIN)/perfloop down

test: setup-dev ## Run every test that this machine can run
	@$(BIN)/python -m perfloop.stack.programs
	@$(BIN)/pytest -n 4 --dist loadgroup --durations 10

check: setup-dev ## Format, lint, types, import directions, docstrings, rules and routes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.support.glossary
	@$(BIN)/interrogate -q perfloop base exporter analyzer loadgen prometheus grafana alertmanager demo
	@$(BIN)/python -m perfloop.stack.programs
	@$(BIN)/perfloop generate --check
	@$(BIN)/python -m perfloop_rules --check

format: setup-dev ## Format the code and fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: setup ## Write the rules, alerts, dashboards and JSON Schemas that are stale
	@$(BIN)/perfloop generate
	@$(BIN)/perfloop loadgen schema --of test > docs/schemas/load_test.schema.json
	@$(BIN)/perfloop loadgen schema > docs/schemas/load_test_report.schema.json

bench: setup-bench ## Measure every figure of docs/benchmarks.md next to its peer
	@$(BIN)/python benchmarks/run_all.py

demo: setup ## Show the closed loop end to end, in about five minutes
	@$(BIN)/perfloop tour

clean: ## Remove the environment and all that runs have left
	@rm -rf .venv .perfloop build dist
