# Two commands set everything up: `make demo` shows the main job, `make test` runs all tests.
# Each makes its own virtual environment and finds or builds the lab (real etcd, Kubernetes and Vault).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
IMAGE ?= secureai-operator:dev
ARGS ?=
SOURCES := operator lab tests scripts $(wildcard bench)
E2E_PACKAGES := runc iptables ipset mmdebstrap
PIP_COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: venv
venv: ## Make or update the virtual environment from the lock
	@command -v $(PYTHON) >/dev/null || { echo "secureai: $(PYTHON) is missing: install Python 3.11 or newer, or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) scripts/venv.py $(VENV)

.PHONY: demo
demo: venv ## The main job on a lab of its own: apply the examples and prove each promise (ARGS=--keep leaves it running)
	@$(BIN)/secureai demo $(ARGS)

.PHONY: test
test: venv ## Everything: lint, unit tests, integration tests against the lab
	@$(MAKE) lint
	@echo "== tests =="
	@$(BIN)/pytest tests/unit tests/integration tests/security tests/faults $(ARGS)

.PHONY: unit
unit: venv ## Quick: the tests that need no lab
	@$(BIN)/pytest -m "not integration" tests/unit $(ARGS)

.PHONY: integration
integration: venv ## Only the tests against the lab
	@$(BIN)/pytest tests/integration $(ARGS)

.PHONY: faults
faults: venv ## The fault suite at full length, an hour: 500 runs of stale watches, 5,000 changes of the schema
	@SECUREAI_FAULTS=full $(BIN)/pytest tests/faults $(ARGS)

.PHONY: e2e
e2e: venv ## On a real node, as root: the operator in pods of its own image, and packets that are cut
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg --status $(E2E_PACKAGES) >/dev/null 2>&1; then \
	  echo "secureai: installing $(E2E_PACKAGES)"; apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(E2E_PACKAGES) >/dev/null; fi
	@$(BIN)/pytest tests/e2e --record tests/e2e/RESULTS.md $(ARGS)

.PHONY: gitops
gitops: venv ## With the real Argo CD: the example application, drift and rotation without a word of it, waves, prune
	@$(BIN)/pytest tests/gitops --record tests/gitops/RESULTS.md $(ARGS)

.PHONY: lint
lint: venv ## ruff, mypy --strict and the import directions
	@echo "== ruff ==";        $(BIN)/ruff check $(SOURCES)
	@echo "== ruff format =="; $(BIN)/ruff format --check $(SOURCES)
	@echo "== mypy ==";        $(BIN)/mypy
	@echo "== imports ==";     $(BIN)/lint-imports --no-cache

.PHONY: format
format: venv ## Format the code and repair what ruff can
	@$(BIN)/ruff check --fix $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

.PHONY: generate
generate: venv ## Write everything that is generated from the code: CRDs, reasons, reference
	@$(BIN)/secureai crds --out crds
	@$(BIN)/secureai docs --out docs
	@$(BIN)/python scripts/generate_admission.py manifests/base/admission
	@$(BIN)/python scripts/generate_helm.py manifests/helm/secureai-operator
	@$(BIN)/python scripts/generate_install.py manifests/install.yaml
	@$(BIN)/python -m tests.security.write_documents
	@$(BIN)/python -m tests.unit.argocd.write
	@$(BIN)/python scripts/generate_argocd.py manifests/argocd

.PHONY: bench
bench: venv ## Measure the short form on labs with real fsync, and write bench/RESULTS.md (ten minutes)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: bench-full
bench-full: venv ## Measure everything, five trials each, and write bench/RESULTS.md (hours)
	@$(BIN)/python -m bench --full $(ARGS)

.PHONY: soak
soak: venv ## An hour of random faults and changes on a lab of its own, written to tests/faults/soak/RESULTS.md (ARGS="--minutes 480 --seed 2")
	@$(BIN)/python -m tests.faults.soak $(ARGS)

.PHONY: lab-up
lab-up: venv ## Start a lab and leave it running
	@$(BIN)/python -m lab up

.PHONY: lab-down
lab-down: venv ## Stop the lab that `make lab-up` started
	@$(BIN)/python -m lab down

.PHONY: lock
lock: venv ## Lock the dependencies anew (LOCK=--upgrade to take newer ones)
	@$(PIP_COMPILE) $(LOCK) --output-file requirements/run.txt pyproject.toml
	@$(PIP_COMPILE) $(LOCK) --extra build --output-file requirements/build.txt -c requirements/run.txt pyproject.toml
	@$(PIP_COMPILE) $(LOCK) --extra docs --output-file requirements/docs.txt pyproject.toml
	@$(PIP_COMPILE) $(LOCK) --extra dev --extra build --extra lock -c requirements/build.txt --output-file requirements/dev.txt pyproject.toml

.PHONY: docs
docs: ## Build the site of docs/ into dist/site, in an environment of its own
	@$(PYTHON) -m venv dist/docs-venv
	@dist/docs-venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/docs.txt
	@cd docs && ../dist/docs-venv/bin/mkdocs build --quiet --strict --config-file - --site-dir ../dist/site < mkdocs.yml

.PHONY: image
image: ## Build the container image (needs Docker)
	@docker info >/dev/null 2>&1 || { echo "secureai: Docker does not answer: install or start it to build the image" >&2; exit 1; }
	docker build --tag $(IMAGE) .

.PHONY: clean
clean: ## Remove the virtual environment and all caches of the tools
	rm -rf $(VENV) $(VENV).lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
