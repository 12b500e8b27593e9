# `make` alone lists the targets. Everything runs in .venv, which `make env` keeps up to date by itself.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ARGS ?=
TEST_WORKERS ?= 2
WHAT ?=
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/thinghub
export CARGO_TARGET_DIR ?= $(CACHE)/cargo-target
export UV_CACHE_DIR ?= $(CACHE)/uv

BIN := .venv/bin
CORE := services/connection-gateway/core/Cargo.toml
SOURCES := libs/*/src services/*/src
PYTEST := $(BIN)/python -m pytest -p tools.durations

.PHONY: help env sdks s3 tools core up test test-unit test-integration test-sdks test-core lint format types contracts reference proto proto-check lock lock-check hygiene bench ledger clean

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: env ## the platform and its demo until Ctrl-C; options by ARGS="--no-demo --data-dir D --mqtt-port P ..."
	@exec $(BIN)/thinghub up $(ARGS)

test: sdks s3 test-core ## every test: the core's, then unit, integration and SDKs (Kafka needs Java 17 and Maven, S3 Go); TEST_WORKERS=2
	@$(PYTEST) -n $(TEST_WORKERS) --dist loadfile $(ARGS)

test-unit: env s3 ## the tests beside the code, and those of the house itself
	@$(PYTEST) libs services tests/house --ignore=services/all-in-one $(ARGS)

test-integration: sdks s3 ## the flows, the ledger and all-in-one, on real servers
	@$(PYTEST) tests/integration services/all-in-one $(ARGS)

test-sdks: sdks s3 ## the public SDKs, in an environment of their own, against the platform
	@$(PYTEST) tests/sdks $(ARGS)

test-core: ## the Rust core's own tests
	@cargo test --quiet --locked --manifest-path $(CORE)

lint: tools ## ruff, its formatting, rustfmt, clippy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . | head -40; exit 1; }
	@cargo fmt --check --manifest-path $(CORE)
	@cargo clippy --quiet --locked --all-targets --all-features --manifest-path $(CORE) -- -D warnings

format: tools ## rewrite Python and Rust as lint wants them
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	@cargo fmt --manifest-path $(CORE)

types: tools ## mypy --strict
	@tools/types

contracts: tools ## the rooms and who may import whom
	@$(BIN)/lint-imports

reference: env ## rewrite docs/reference from the topic table and the operation table
	@$(BIN)/python -m thinghub.api_gateway.entrypoints.reference docs/reference/operations.md
	@$(BIN)/python -m tools.contract docs/reference/contract.md

proto: tools ## regenerate protos/gen
	@tools/proto

proto-check: tools ## protos linted, unbroken since the last commit, and protos/gen as generated
	@tools/proto --check

lock: tools ## resolve every member's dependencies into requirements.lock, the SDKs' into theirs (ARGS="--upgrade-package NAME")
	@tools/lock $(ARGS)

lock-check: tools ## both locks follow from what they are made of
	@tools/lock --check

hygiene: ## what must not be in the tree: loose checks, fakes, paths of one machine, URLs in locks
	@tools/hygiene

bench: env ## QoS 1 -> bus -> rule -> row: rate and CPU of each part; WHAT=properties, shadow or rules for those
	@$(BIN)/python -m bench$(if $(WHAT),.$(WHAT)) $(ARGS)

ledger: env ## numbered messages both ways while every part is killed and frozen: nothing may be lost (docs/reference/ledger.md)
	@$(BIN)/python -m bench.ledger $(ARGS)

env: ## create or update .venv, the core included
	@tools/env

sdks: ## .venv, and .venv-sdks with the public SDKs under test
	@tools/env sdks

s3: env ## build the S3 server that tests run against (Go), once
	@$(BIN)/python -m tests.support.s3_server

tools: ## .venv without the core: enough for lint and code generation
	@tools/env tools

core: env ## build the gateway core if its sources changed

clean: ## remove both environments and what tools left in the checkout (caches outside it stay)
	@rm -rf .venv .venv-sdks .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
