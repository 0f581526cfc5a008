# Shoplake's commands. Everything they need beyond Rust, Python and Terraform goes into .local/, which git ignores.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shoplake/target
PYTHON := .local/venv/bin/python

.PHONY: help checkout setup build demo report down pos-day redrive test lint unit localstack-test report-test parity e2e e2e-long bench package clean

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Cargo tells sources apart by their times alone, so in a target directory that checkouts share, one of them could run what
# another has built. Whichever builds after another one builds its own crates anew; the dependencies stay.
checkout:
	@mkdir -p "$$CARGO_TARGET_DIR"
	@if [ "$$(cat "$$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$(CURDIR)" ]; then \
		find crates functions connectors tests/sample-source tests/simulation glue-sql -type f -exec touch {} +; \
		echo "$(CURDIR)" > "$$CARGO_TARGET_DIR/checkout"; \
	fi

setup: ## install what a fresh machine lacks into .local/ (a second run reuses it)
	@python3 tests/localstack/bootstrap.py

build: checkout ## build everything with the development profile
	@cargo build --locked --workspace --all-targets

demo: setup checkout ## set up, build, deploy to a local cloud, send events, show the KPIs; leaves it running
	@$(PYTHON) -m tests.pipeline.demo

report: setup ## the teams' KPIs of the running demo, in the terminal and as .local/report.html
	@$(PYTHON) -m tests.pipeline.report

redrive: setup ## do again what failed in the demo, all of it or QUEUE=dirty|streams, or DATASET=<dataset> DAY=YYYY-MM-DD of quarantine
	@$(PYTHON) -m tests.pipeline.redrive --queue "$(QUEUE)" --quarantine "$(DATASET)" --day "$(DAY)"

down: ## stop the demo
	@$(PYTHON) tests/localstack/cloud.py down --state .local/demo

pos-day: setup ## run one day of CSV sales through the demo: make pos-day DATA=<folder> DATE=YYYY-MM-DD
	@$(PYTHON) -m tests.pipeline.pos_day --data "$(DATA)" --date "$(DATE)"

test: setup checkout lint unit localstack-test report-test parity e2e ## set up and run all tests
	@echo "all tests passed"

lint: checkout ## formatting, clippy, dependencies, Terraform
	@echo "==> lint"
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@$(PYTHON) -m tests.pipeline.lint

unit: checkout ## unit and property tests
	@echo "==> unit and property tests"
	@cargo test --locked --workspace --all-targets

localstack-test: setup ## tests of the local cloud itself, and of what runs on parts of it
	@echo "==> tests of the local cloud, of the state machines and of the warehouse"
	@$(PYTHON) -m pytest -q tests/localstack
	@$(PYTHON) -m pytest -q tests/statemachines tests/warehouse

report-test: setup ## tests of the report, in a browser
	@echo "==> tests of the report"
	@$(PYTHON) -m pytest -q tests/report

parity: setup checkout ## every model gives the same rows on DataFusion and on Spark
	@echo "==> parity of the engines"
	@python3 tests/localstack/bootstrap.py --spark
	@$(PYTHON) -m pytest -q tests/parity

e2e: setup checkout ## end-to-end tests against a local cloud of their own
	@echo "==> end-to-end tests"
	@$(PYTHON) -m pytest -v --ignore tests/e2e/bulk tests/e2e

e2e-long: setup checkout ## a month of three shops, and all real days of sales: an hour on a local cloud
	@$(PYTHON) -m pytest -v -s tests/e2e/bulk

bench: checkout ## measure the hot path
	@cargo bench --locked -p shoplake-conform

package: setup checkout ## build release packages with cargo-lambda for ARCH=arm64|x86_64|host into .local/packages
	@$(PYTHON) -m tests.pipeline.release "$(or $(ARCH),arm64)"

clean: ## remove .local/ (stops the demo first)
	@test ! -e .local/venv || $(MAKE) down
	@rm -rf .local
