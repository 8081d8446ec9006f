# Every target is one call of one tool; `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SETUP := @$(PYTHON) perfloop/stack/bootstrap.py

SHIPPED := --extra exporter --extra analyzer --extra loadgen --extra inbox --extra demo --extra aws --extra google --extra otel
COMPILE := uv pip compile pyproject.toml --python-version 3.11 --no-annotate --no-emit-package pip --quiet --custom-compile-command 'make lock'

.PHONY: help setup setup-dev setup-bench setup-release tools kubernetes-tools up down test check format generate lock sbom bench demo clean

help: ## Show what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with what the stack needs
	$(SETUP) all

setup-dev: ## Make .venv with what the checks and tests need too
	$(SETUP) all dev

setup-bench: setup-dev ## Make one environment for each peer that the benchmarks measure
	@$(BIN)/python benchmarks/peers.py

setup-release: setup-dev ## Make .venv with what a release needs too
	$(SETUP) all dev release

tools: setup ## Fetch Prometheus and Alertmanager where they are missing
	@$(BIN)/python -m perfloop.stack.programs

kubernetes-tools: setup-dev ## Build Helm, kubeconform and an API server, which the tests of the chart need
	@$(BIN)/python -m tests.support.kubernetes_tools

up: setup ## Start the whole stack and print every URL
	@$(BIN)/perfloop up

down: setup ## Stop the whole stack
	@$(BIN)/perfloop down

test: setup-dev ## Run every test that this machine can run
	@$(BIN)/python -m perfloop.stack.programs
	@$(BIN)/python -m tests.support.suite

check: setup-dev ## Format, lint, types, import directions, secrets, known vulnerabilities, licences, rules and routes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.support.glossary
	@$(BIN)/python -m tests.support.secret_scan
	@$(BIN)/python -m tests.support.licenses
	@$(BIN)/python -m tests.support.audit
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
	@$(BIN)/perfloop loadgen schema --of comparison > docs/schemas/load_test_comparison.schema.json
	@$(BIN)/perfloop loadgen schema --of gate > docs/schemas/load_test_gate.schema.json
	@$(BIN)/perfloop check --schema > docs/schemas/readiness.schema.json
	@$(BIN)/python -m perfloop_analyzer.reports.schema > docs/schemas/report.schema.json

lock: setup-release ## Refresh requirements.lock, constraints.txt and the list of licences; UPGRADE=1 takes the newest versions
	@$(BIN)/$(COMPILE) $(if $(UPGRADE),--upgrade) --python-platform linux --all-extras -o constraints.txt
	@$(BIN)/$(COMPILE) $(if $(UPGRADE),--upgrade) --universal $(SHIPPED) --generate-hashes -c constraints.txt -o requirements.lock
	$(SETUP) all dev release
	@$(BIN)/python -m tests.support.licenses --write

sbom: setup-release ## Write dist/sbom.cdx.json: what the image is made of, in CycloneDX
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o dist/sbom.cdx.json

bench: setup-bench ## Measure every figure of docs/benchmarks.md next to its peer
	@$(BIN)/python benchmarks/run_all.py

demo: setup ## Show the closed loop end to end, in about nine minutes
	@$(BIN)/perfloop tour

clean: ## Remove the environment and all that runs have left
	@rm -rf .venv .perfloop build dist
