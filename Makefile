# `make run` serves S3 on 127.0.0.1:9000; `make test` runs all tests; `make help` lists all targets.
# mise.toml has the same tasks.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
ARGS ?=

# The database that `make up` starts.
DEV_COMPOSE := docker compose -f docker/compose.dev.yaml
DEV_DATABASE_URL := postgresql://post3:post3@127.0.0.1:5435/post3
# Tests over HTTP, with real clients and real servers.
INTEGRATION := $(filter-out $(patsubst %,tests/%/,models services storage s3 faults benchmarks __pycache__),$(wildcard tests/*/))
# Examples import post3 from this directory, and find the programs that are installed in the environment.
EXAMPLE := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" PYTHONPATH="$(CURDIR)"

.DEFAULT_GOAL := help
.PHONY: help run up down dev check format settings test test-quick integration coverage torture bench dbshell dbreset build \
	ci-pr ci-main clean example-basic example-metadata example-boto3 example-async example-cli example-curl example-large

help: ## list the targets
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' Makefile

##@ Run

run: $(VENV)/.base ## serve S3 with a background worker; prints the first API key
	@$(PYTHON) manage.py serve

dev: $(VENV)/.base ## the same, with Django's debug pages in the console
	@POST3_DEBUG=1 $(PYTHON) manage.py serve

##@ Database

up: ## start a PostgreSQL for development on port 5435 with Docker
	@docker compose version >/dev/null 2>&1 || { \
		echo "This needs Docker with its compose plugin. Without it, set DATABASE_URL to a PostgreSQL of your own." >&2; exit 1; }
	$(DEV_COMPOSE) up -d --wait
	@echo "To use it:"
	@echo "export DATABASE_URL=$(DEV_DATABASE_URL) POST3_SECRET_KEY=no-secret-in-development-only-0123456789-0123456789"

down: ## stop that PostgreSQL; its data is kept
	$(DEV_COMPOSE) down

dbshell: $(VENV)/.base ## open the catalogue in psql or sqlite3, depending on DATABASE_URL
	@$(PYTHON) manage.py dbshell

dbreset: $(VENV)/.base ## delete every bucket, object, user and key; stop the server first (YES=1: do not ask)
	@[ "$(YES)" = 1 ] || { \
		printf "This deletes every bucket, object, user and key of $(if $(DATABASE_URL),the database in DATABASE_URL,the SQLite catalogue). "; \
		printf "Go on? [y/N] "; \
		read -r answer; [ "$$answer" = y ] || { echo "Nothing was deleted."; exit 1; }; }
	@$(PYTHON) manage.py migrate --no-input -v 0
	@$(PYTHON) manage.py flush --no-input -v 0
	@rm -rf "$${POST3_DATA_DIR:-var}/objects"
	@echo "The store is empty."

##@ Test

check: $(VENV)/.dev ## run the formatter, the linter, the type checker, Django's checks and the check for missing migrations
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) manage.py check
	$(PYTHON) manage.py makemigrations --check --dry-run

format: $(VENV)/.dev ## format the code and apply the linter's fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

settings: $(VENV)/.base ## generate the tables of settings in README.md and docs/settings.md
	@$(PYTHON) docs/settings_table.py

test: $(VENV)/.dev ## run all tests, on SQLite and on a private PostgreSQL (ARGS="..." is passed to pytest)
	@$(PYTHON) -m tests $(ARGS)

test-quick: $(VENV)/.dev ## run the tests for everyday work: SQLite only, under two minutes (ARGS="..." is passed to pytest)
	@$(PYTHON) -m tests --quick $(ARGS)

integration: $(VENV)/.dev ## run only the tests over HTTP, with real clients and real servers
	@$(PYTHON) -m tests $(INTEGRATION) $(ARGS)

coverage: $(VENV)/.dev ## run the tests and print the lines that no process ran (ARGS="..." is passed to pytest)
	@$(PYTHON) -m coverage erase
	@$(PYTHON) -m coverage run -m tests $(ARGS); status=$$?; \
	$(PYTHON) -m coverage combine --quiet && $(PYTHON) -m coverage report && exit $$status

torture: $(VENV)/.dev ## run the long fault tests, more than an hour (ARGS="crash --crashes 50": one of them; ARGS="crash --help": its options)
	@$(PYTHON) -m tests.faults $(ARGS)

bench: $(VENV)/.dev ## measure against the limits of this machine, half an hour (ARGS="--quick": a minute; ARGS="--help": options)
	@$(PYTHON) -m tests.benchmarks $(ARGS)

##@ Build

build: $(VENV)/.base ## build the wheel into dist/
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

ci-pr: $(VENV)/.dev ## run the pipeline of a pull request: check, test, build
	@$(PYTHON) docker/ci/pipeline.py pr

ci-main: $(VENV)/.dev ## run the pipeline of the main branch: the same, and the package
	@$(PYTHON) docker/ci/pipeline.py main

clean: ## remove the environment and all caches; data under var/ is kept
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .coverage .coverage.* build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Examples (they need AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; docs/examples)

example-basic: $(VENV)/.dev ## everyday use of post3.sdk: buckets, files, streams, listings, presigned URLs
	@$(EXAMPLE) $(PYTHON) docs/examples/basic_sdk.py

example-metadata: $(VENV)/.dev ## metadata, content types and conditions
	@$(EXAMPLE) $(PYTHON) docs/examples/metadata.py

example-boto3: $(VENV)/.dev ## plain boto3
	@$(EXAMPLE) $(PYTHON) docs/examples/plain_boto3.py

example-async: $(VENV)/.dev ## asynchronous use with obstore
	@$(EXAMPLE) $(PYTHON) docs/examples/async_client.py

example-cli: $(VENV)/.dev ## the AWS CLI
	@$(EXAMPLE) sh docs/examples/aws_cli.sh

example-curl: $(VENV)/.dev ## curl, signed with --aws-sigv4 and presigned
	@$(EXAMPLE) PYTHON=$(PYTHON) sh docs/examples/curl.sh

example-large: $(VENV)/.dev ## stress test with one large object (ARGS="2G --part-size 64M --rounds 3")
	@$(EXAMPLE) $(PYTHON) docs/examples/large_file.py $(ARGS)

# Use BASE_PYTHON, or the first Python that is new enough. Its name does not prove that, so each candidate's version is checked.
$(VENV)/bin/pip:
	@for python in $$BASE_PYTHON python3.13 python3.12 python3.11 python3.14 python3 python; do \
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
