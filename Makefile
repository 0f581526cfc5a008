# Shoplake's commands. They install everything beyond Rust, Python and Terraform into .local/, which
# git ignores.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shoplake/target
PYTHON := .local/venv/bin/python
# Runs a module or a script and turns its failure into a message.
RUN := -m dev.command
# The operators' program, as `make demo` and `make build` build it.
SHOPLAKE := $(CARGO_TARGET_DIR)/debug/shoplake
RUN_SHOPLAKE := test -x "$(SHOPLAKE)" || \
	{ echo "error: $(SHOPLAKE) is missing: build it with \`make build\`" >&2; exit 1; }; "$(SHOPLAKE)"
# Optimizes the crates of the workspace. The dependencies are those of any other build.
FAST := cargo --config crates/simulation/fast.toml
# End-to-end tests that take too long for every change.
LONG := tests/e2e/test_hostile_shop.py tests/e2e/test_redrive.py tests/e2e/test_replay.py \
	tests/e2e/test_chaos.py tests/e2e/test_outages.py tests/e2e/test_three_hostile_shops.py \
	tests/e2e/oracle/test_in_memory.py tests/e2e/bulk

.PHONY: help checkout setup build demo report down pos-day redrive test lint words advisories unit \
	localstack-test infra-test report-test notebook-test parity e2e e2e-long simulate bench costs \
	package plan deploy deploy-plan push-images outputs destroy clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Cargo recognises changed sources by their times alone. Several checkouts share a target directory,
# so after a build of another checkout this touches all sources, which builds the project's crates
# again and keeps the dependencies.
checkout:
	@mkdir -p "$$CARGO_TARGET_DIR"
	@if [ "$$(cat "$$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$(CURDIR)" ]; then \
		find crates functions connectors dev/sample-source glue-sql tests/contracts \
			-type f -exec touch {} +; \
		echo "$(CURDIR)" > "$$CARGO_TARGET_DIR/checkout"; \
	fi

setup: ## install the tools that a machine lacks into .local/, once
	@python3 $(RUN) dev/localstack/bootstrap.py

build: checkout ## build everything with the development profile
	@cargo build --locked --workspace --all-targets

demo: checkout ## build, deploy to a local cloud, send data, show the KPIs; HOSTILE=1 adds a hostile shop
	@python3 $(RUN) dev.prepare
	@$(PYTHON) $(RUN) dev.demo $(if $(HOSTILE),--hostile)

report: ## show the teams' KPIs of the running demo, and write .local/report.html
	@$(RUN_SHOPLAKE) report

redrive: ## retry everything that failed, QUEUE=dirty|streams, or DATASET=<dataset> DAY=YYYY-MM-DD
	@$(RUN_SHOPLAKE) redrive $(if $(QUEUE),--queue "$(QUEUE)") \
		$(if $(DATASET),--dataset "$(DATASET)") $(if $(DAY),--day "$(DAY)")

down: ## stop the demo
	@test ! -x $(PYTHON) || $(PYTHON) $(RUN) dev.down

pos-day: ## send one day of CSV sales to the demo: DATA=<folder> DATE=YYYY-MM-DD
	@$(RUN_SHOPLAKE) pos-day $(if $(DATA),--data "$(DATA)") $(if $(DATE),--date "$(DATE)")

test: setup checkout lint unit localstack-test infra-test report-test notebook-test parity e2e ## run all tests but the long ones
	@echo "all tests passed"

lint: setup checkout words ## check formatting, words, Rust, dependencies, Python, Terraform and SQL
	@echo "==> lint"
	@cargo fmt --all --check
	@cargo fmt --manifest-path tests/contracts/Cargo.toml --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@cargo clippy --locked --manifest-path tests/contracts/Cargo.toml --all-targets -- -D warnings
	@$(PYTHON) $(RUN) dev.lint

words: ## find private terms (dev/words.toml) and lines over 100 columns
	@python3 $(RUN) dev.words

advisories: ## check the dependencies for known vulnerabilities (needs access to github.com)
	@echo "==> advisories"
	@python3 $(RUN) dev.lint advisories

unit: checkout ## run unit and property tests
	@echo "==> unit and property tests"
	@cargo test --locked --workspace --all-targets
	@cargo test --locked --manifest-path tests/contracts/Cargo.toml

localstack-test: setup build ## test the local cloud, the state machines, the warehouse and the commands
	@echo "==> tests of the local cloud, the state machines, the warehouse and the commands"
	@$(PYTHON) -m pytest -q dev/localstack
	@$(PYTHON) -m pytest -q tests/statemachines tests/warehouse tests/commands tests/documents

infra-test: setup build ## test the production stack: plans of every environment, rules, checkov
	@echo "==> tests of the production stack"
	@$(PYTHON) -m pytest -q tests/infra

report-test: setup build ## test the report in a browser
	@echo "==> tests of the report"
	@$(PYTHON) -m pytest -q tests/report

notebook-test: setup build ## test the notebooks with customers of known groups
	@echo "==> tests of the notebooks"
	@python3 $(RUN) dev/localstack/bootstrap.py --notebooks
	@.local/notebooks/bin/python -m pytest -q tests/notebooks

parity: setup checkout ## test that every model gives the same rows on DataFusion and on Spark
	@echo "==> parity of the engines"
	@python3 $(RUN) dev/localstack/bootstrap.py --spark
	@$(PYTHON) -m pytest -q tests/parity

e2e: setup checkout ## run end-to-end tests on their own local cloud
	@echo "==> end-to-end tests"
	@$(PYTHON) -m pytest -v $(addprefix --ignore=,$(LONG)) tests/e2e

e2e-long: setup checkout ## test hostile shops, redrives, replays, killed functions, outages, a month, all real days (4 hours)
	@$(PYTHON) -m pytest -v -s $(LONG)

# Not by package, which has other features and would compile all dependencies again.
simulate: checkout ## find each planted fault, then simulate SEEDS=<number> of runs, 100,000 by default
	@$(FAST) test --locked --workspace --test protocol -- --ignored
	@$(FAST) run --locked --bin protocol -- --threads 2 --seeds "$(or $(SEEDS),100000)"

bench: checkout ## measure the hot path
	@cargo bench --locked -p shoplake-conform

costs: ## estimate the costs of a month, by environment and rate of events (docs/operations/COSTS.md)
	@python3 $(RUN) infra/costs/estimate.py

package: checkout ## build packages and the connectors' images for ARCH=arm64|x86_64|host into .local/packages
	@python3 $(RUN) dev.release "$(or $(ARCH),arm64)"

plan: ## plan the production stack without AWS, for ENV=dev|staging|prod or all three
	@python3 $(RUN) dev.plan $(ENV)

# The following targets run with credentials. They use only Python's standard library, Terraform and
# the AWS CLI.
deploy: ## deploy ENV=dev|staging|prod to AWS: plan, ask, apply, migrate the warehouse (docs/operations/DEPLOY.md)
	@python3 $(RUN) dev.deploy_aws deploy "$(ENV)"

deploy-plan: ## show the changes of a deployment of ENV=dev|staging|prod to AWS
	@python3 $(RUN) dev.deploy_aws plan "$(ENV)"

push-images: ## push the connectors' images of `make package` to the repositories of ENV=dev|staging|prod
	@python3 $(RUN) dev.deploy_aws outputs "$(ENV)" connector_repositories | python3 $(RUN) dev.images

outputs: ## print the names and addresses of the deployed ENV=dev|staging|prod, or NAME=<output>
	@python3 $(RUN) dev.deploy_aws outputs "$(ENV)" $(NAME)

destroy: ## delete ENV=dev|staging|prod from AWS with all data: CONFIRM=shoplake-<ENV>
	@CONFIRM="$(CONFIRM)" python3 $(RUN) dev.deploy_aws destroy "$(ENV)"

clean: ## stop the demo and remove .local/
	@test ! -e .local/venv || $(MAKE) down
	@rm -rf .local
