# Every target sets up what it needs first; a second time that takes no time.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=KUBECONFIG,NETOBSERV_TESTBED,NETOBSERV_TEST_IMAGE)

# Tests wait more than they compute: two at a time, a module by one.
WORKERS := -n 2

.PHONY: setup setup-dev shell test check bench proto

setup:
	@./setup.sh

setup-dev:
	@./setup.sh dev

shell: setup  ## open the shell on this host
	@$(AS_ROOT) .venv/bin/netobserv shell --local

test: setup-dev  ## every test
	$(AS_ROOT) .venv/bin/python -m pytest $(WORKERS)

check: setup-dev  ## formatter, linter, types, import contracts, then every test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(AS_ROOT) .venv/bin/python -m pytest $(WORKERS)

bench: setup-dev  ## prints a table, writes bench/results/*.json
	$(AS_ROOT) .venv/bin/python -m bench

proto: setup-dev  ## generate the RPC modules again
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python -m grpc_tools.protoc -I . \
	    --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. \
	    agent/proto/agentlink.proto nshell/proto/session.proto
