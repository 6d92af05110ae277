# SPDX-License-Identifier: GPL-2.0-or-later
# The two commands: `make demo` and `make test`.

PYTHON := .venv/bin/python
TREE ?= debian:7.2
SERIES ?= patches/gmem-write-v7-port.mbx
FUZZ_SECONDS ?= 60

.PHONY: help demo test setup setup-test lint types unit e2e long fuzz bench faults soak format lock clean

help:
	@echo "make demo    verify the bundled series on a real kernel (SERIES=..., TREE=...)"
	@echo "make test    lint, types, unit tests, then tests that build and boot kernels"
	@echo "make unit    only what needs no kernel"
	@echo "make long    real kernels: flaky and benchmark bisections, two nights, KUnit, 30 kills, 6.12, 7.3"
	@echo "make fuzz    every parser of strangers' bytes, a minute each (FUZZ_SECONDS=...)"
	@echo "make bench   where the time goes"
	@echo "make faults  one run killed at each of its events (docs/reliability.md)"
	@echo "make soak    20 verifications in a row: what grows? (SERIES=..., TREE=...)"

# The port has findings, so the verdict of the demo is status 1, and that is its success.
demo: setup
	@./pipeline.py verify $(SERIES) --tree $(TREE) || test $$? -eq 1

test: setup-test lint types unit e2e

setup:
	@python3 scripts/setup.py

setup-test:
	@python3 scripts/setup.py --test

lint: setup-test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: setup-test
	$(PYTHON) -m mypy

# One more than there are processors: a test often waits for a child, or for a moment to come.
unit: setup-test
	$(PYTHON) -m pytest -m "not e2e" -n $$(($$(nproc) + 1)) --dist loadfile \
		--cov --cov-report=term --cov-fail-under=90

e2e: setup-test
	$(PYTHON) -m pytest -m "e2e and not long" --durations=15

# Many minutes each, or another kernel version; every change has faster tests of the same rules.
long: setup-test
	$(PYTHON) -m pytest -m long --durations=0

fuzz: setup-test
	$(PYTHON) scripts/fuzz.py --all --seconds $(FUZZ_SECONDS)

bench: setup
	$(PYTHON) scripts/bench.py

faults: setup-test
	$(PYTHON) -m tests.faults.everywhere

soak: setup
	$(PYTHON) scripts/soak.py --tree $(TREE) $(SERIES)

format: setup-test
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# Needs uv; the result is checked in.  With markers, since not every platform has a wheel of all, and
# with extras: pip 23 looks for coverage[toml] on its own and finds a newer one without a hash.
lock:
	uv pip compile -q --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
		--no-strip-extras pyproject.toml -o requirements.lock
	uv pip compile -q --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
		--no-strip-extras --no-strip-markers --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
