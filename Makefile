# `make demo` and `make test` need Python 3.11 or later and make; everything else is installed into .venv from the lock.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The first of these that is new enough and can make a virtual environment; `make PYTHON=... demo` chooses another.
CANDIDATES := python3 python3.13 python3.12 python3.11
SUITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(SUITS)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

.PHONY: demo test test-slow lint docs lock clean

demo: $(INSTALLED)
	$(BIN)/csvjax demo

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy csvjax

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile -m slow

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "documentation: build/site/index.html"

# An environment that works is kept, whichever Python made it; one that is too old, broken or without pip is made anew.
$(INSTALLED): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c 'import pip; $(SUITS)' >/dev/null 2>&1; then \
		if ! "$(PYTHON)" -c '$(SUITS)' >/dev/null 2>&1; then \
			echo "csvjax needs Python 3.11 or later with its venv module, and found none (looked for: $(or $(PYTHON),$(CANDIDATES)))." \
				"Install one (on Debian 12: apt-get install python3-venv), or name one: make PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		echo "making $(VENV) with $(PYTHON)"; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The same versions for every Python where they allow it. Keeps what is locked; `make lock LOCK=--upgrade` takes the newest.
lock:
	@PATH="$(CURDIR)/$(BIN):$$PATH"; command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }; \
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --extra docs --extra tests --extra report --group build \
		--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK) \
		pyproject.toml -o requirements.lock

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find csvjax tests experiments benchmarks -name __pycache__ -type d -exec rm -rf {} +
