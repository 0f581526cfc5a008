# Shoplake's commands. Everything they need beyond Rust, Python and Terraform goes into .local/,
# which git ignores.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shoplake/target
PYTHON := .local/venv/bin/python
# Runs a module or a script, and turns its failure into a message.
RUN := -m dev.command
# End-to-end tests that take too long for every change.
LONG := tests/e2e/test_replay.py tests/e2e/test_chaos.py tests/e2e/bulk

.PHONY: help checkout setup build demo report down pos-day redrive test lint advisories unit localstack-test infra-test report-test notebook-test parity e2e e2e-long bench costs package plan deploy deploy-plan push-images outputs destroy clean

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Cargo tells sources apart by their times alone, so in a target directory that checkouts share, one
# of them could run what another has built. Whichever builds after another one builds its own crates
# anew; the dependencies stay.
checkout:
	@mkdir -p "$$CARGO_TARGET_DIR"
	@if [ "$$(cat "$$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$(CURDIR)" ]; then \
		find crates functions connectors dev/sample-source glue-sql -type f -exec touch {} +; \
		echo "$(CURDIR)" > "$$CARGO_TARGET_DIR/checkout"; \
	fi

setup: ## install what a fresh machine lacks into .local/ (a second run reuses it)
	@python3 $(RUN) dev/localstack/bootstrap.py

build: checkout ## build everything with the development profile
	@cargo build --locked --workspace --all-targets

demo: setup checkout ## build, deploy to a local cloud, feed it, show the KPIs; HOSTILE=1 adds a hostile shop
	@$(PYTHON) $(RUN) dev.demo $(if $(HOSTILE),--hostile)

report: setup ## the teams' KPIs of the running demo, in the terminal and as .local/report.html
	@$(PYTHON) $(RUN) dev.report

redrive: setup ## run again what failed: all, QUEUE=dirty|streams, or DATASET=<dataset> DAY=YYYY-MM-DD
	@$(PYTHON) $(RUN) dev.redrive --queue "$(QUEUE)" --quarantine "$(DATASET)" --day "$(DAY)"

down: ## stop the demo
	@test ! -x $(PYTHON) || $(PYTHON) $(RUN) dev.down

pos-day: setup ## run one day of CSV sales through the demo: make pos-day DATA=<folder> DATE=YYYY-MM-DD
	@$(PYTHON) $(RUN) dev.pos_day --data "$(DATA)" --date "$(DATE)"

test: setup checkout lint unit localstack-test infra-test report-test notebook-test parity e2e ## set up and run all tests
	@echo "all tests passed"

lint: setup checkout ## formatting, clippy, dependencies, Terraform
	@echo "==> lint"
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@$(PYTHON) $(RUN) dev.lint

advisories: setup ## known weaknesses of the dependencies, from a database that not every network reaches
	@echo "==> advisories"
	@$(PYTHON) $(RUN) dev.lint advisories

unit: checkout ## unit and property tests
	@echo "==> unit and property tests"
	@cargo test --locked --workspace --all-targets

localstack-test: setup ## tests of the local cloud, of what runs on parts of it, and of the commands
	@echo "==> tests of the local cloud, of the state machines, of the warehouse and of the commands"
	@$(PYTHON) -m pytest -q dev/localstack
	@$(PYTHON) -m pytest -q tests/statemachines tests/warehouse tests/commands tests/documents

infra-test: setup ## tests of the production stack: a plan per environment, what must hold for it, checkov
	@echo "==> tests of the production stack"
	@$(PYTHON) -m pytest -q tests/infra

report-test: setup ## tests of the report, in a browser
	@echo "==> tests of the report"
	@$(PYTHON) -m pytest -q tests/report

notebook-test: setup build ## the notebooks, over customers whose groups are known
	@echo "==> tests of the notebooks"
	@python3 $(RUN) dev/localstack/bootstrap.py --notebooks
	@.local/notebooks/bin/python -m pytest -q tests/notebooks

parity: setup checkout ## every model gives the same rows on DataFusion and on Spark
	@echo "==> parity of the engines"
	@python3 $(RUN) dev/localstack/bootstrap.py --spark
	@$(PYTHON) -m pytest -q tests/parity

e2e: setup checkout ## end-to-end tests against a local cloud of their own
	@echo "==> end-to-end tests"
	@$(PYTHON) -m pytest -v $(addprefix --ignore=,$(LONG)) tests/e2e

e2e-long: setup checkout ## replays, functions killed at random, a month of three shops, all real days: an hour and a half
	@$(PYTHON) -m pytest -v -s $(LONG)

bench: checkout ## measure the hot path
	@cargo bench --locked -p shoplake-conform

costs: ## estimate what a month costs, by environment and rate of events (infra/COSTS.md)
	@python3 $(RUN) infra/costs/estimate.py

package: setup checkout ## build release packages, and with a container tool the connectors' images, for ARCH=arm64|x86_64|host into .local/packages
	@$(PYTHON) $(RUN) dev.release "$(or $(ARCH),arm64)"

plan: setup ## plan the production stack without AWS, for ENV=dev|staging|prod or for all three
	@$(PYTHON) $(RUN) dev.plan $(ENV)

# What follows may run beside credentials, so it needs nothing but Python's standard library,
# Terraform and the AWS CLI.
deploy: ## deploy ENV=dev|staging|prod to AWS: plan, ask, apply, migrate the warehouse (infra/DEPLOY.md)
	@python3 $(RUN) dev.deploy_aws deploy "$(ENV)"

deploy-plan: ## what a deployment of ENV=dev|staging|prod would change on AWS
	@python3 $(RUN) dev.deploy_aws plan "$(ENV)"

push-images: ## push the connectors' images that `make package` built to the repositories of ENV=dev|staging|prod
	@python3 $(RUN) dev.deploy_aws outputs "$(ENV)" connector_repositories | python3 $(RUN) dev.images

outputs: ## what the deployed ENV=dev|staging|prod is called, all of it or NAME=<output>
	@python3 $(RUN) dev.deploy_aws outputs "$(ENV)" $(NAME)

destroy: ## take ENV=dev|staging|prod away from AWS, data and all: CONFIRM=shoplake-<ENV>
	@CONFIRM="$(CONFIRM)" python3 $(RUN) dev.deploy_aws destroy "$(ENV)"

clean: ## remove .local/ (stops the demo first)
	@test ! -e .local/venv || $(MAKE) down
	@rm -rf .local
