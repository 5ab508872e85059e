# `make run` serves S3 on 127.0.0.1:9000; `make test` runs every test. `make help` lists the rest.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test bench torture check format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 10

run: $(VENV)/.base ## serve S3 with its worker; prints the first API key
	@$(PYTHON) manage.py serve

test: $(VENV)/.dev ## run every test, on SQLite and on a PostgreSQL of its own (ARGS="..." goes to pytest)
	@$(PYTHON) -m tests $(ARGS)

bench: $(VENV)/.dev ## measure against what this machine can do, half an hour (ARGS="--quick": a minute; ARGS="--help": more)
	@$(PYTHON) -m tests.benchmarks $(ARGS)

torture: $(VENV)/.dev ## the long fault tests, an hour and more (ARGS="crash --crashes 50": one of them; ARGS="crash --help": its options)
	@$(PYTHON) -m tests.faults $(ARGS)

check: $(VENV)/.dev ## format, lint, Django's checks, migrations
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(PYTHON) manage.py check
	$(PYTHON) manage.py makemigrations --check --dry-run

format: $(VENV)/.dev ## format the code and mend what the linter can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean: ## remove the environment and all caches; data under var/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that is new enough, whatever its name: a name proves nothing, so each is asked for its version.
$(VENV)/bin/pip:
	@for python in python3.13 python3.12 python3.11 python3.14 python3 python; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "post3 needs Python 3.11 or newer, and finds none on this machine." >&2; exit 1; fi; \
	echo "Making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV) || \
		{ rm -rf $(VENV); echo "$$found cannot make environments (Debian: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.base: requirements/base.txt | $(VENV)/bin/pip
	@$(PIP) -r requirements/base.txt
	@touch $@

$(VENV)/.dev: requirements/base.txt requirements/dev.txt | $(VENV)/bin/pip
	@$(PIP) -r requirements/dev.txt
	@touch $(VENV)/.base $@
