# natlab: `make lab` runs the whole lab, `make test` runs the tests.
# What is missing is set up first (tools/provision.sh); nothing missing costs nothing.

VENV    ?= $(or $(NATLAB_VENV),.venv)
# What `make lab` runs: every step built and checked, in a lab that is taken down again.
LAB_RUN ?= $(VENV)/bin/natlab do --all --check --throwaway

provision = NATLAB_VENV=$(abspath $(VENV)) bash tools/provision.sh

.DEFAULT_GOAL := help
.PHONY: help lab test lint bench parity clean
# One virtual environment serves all targets: with -j they still run one after the other.
.NOTPARALLEL:

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lab: ## rebuild docker0 step by step and prove each step by live traffic
	@$(provision)
	@$(LAB_RUN)

test: ## run the tests; PYTEST_ARGS="-k nat -x" narrows them
	@$(provision) --extras test
	@PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: ## ruff, mypy, and shellcheck where it is installed
	@$(provision) --extras lint,test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@if command -v shellcheck >/dev/null; then set -x; shellcheck tools/*.sh src/natlab/programs/*.sh .ci/run; \
	else echo "shellcheck is not installed: the shell scripts were not checked"; fi

bench: ## time containers, engines, volumes and fixtures against the kernel floor and other tools
	@$(provision)
	@$(VENV)/bin/python tests/bench/bench_attach.py
	@$(VENV)/bin/python tests/bench/bench_engine.py
	@$(VENV)/bin/python tests/bench/bench_volumes.py
	@$(VENV)/bin/python tests/bench/bench_fixture.py

parity: ## compare with a real Docker engine, flow by flow (root); writes docs/parity.md
	@$(provision) --extras test
	@PYTHONPATH=tests/parity $(VENV)/bin/python -m parity
	@NATLAB_PARITY_EXAMPLES=12 $(VENV)/bin/python -m pytest -q tests/parity/test_course.py \
		tests/parity/test_random.py

clean: ## remove the virtual environment, caches and built packages
	rm -rf .venv .docker.io build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests lab -name __pycache__ -type d -prune -exec rm -rf {} +
