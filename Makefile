# Every chore in one word. The environment is .venv in this folder; what is missing is set up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links
CLIENT := frontend_shim/dist/client.js
NODE_MODULES := frontend_shim/node_modules/.package-lock.json
PAGE := frontend_shim/page/dist/index.html

.PHONY: help run page screenshots test check load chaos setup lock format clean

help:
	@echo "make run      serve on http://127.0.0.1:8000; a simulated model answers while there is no Ollama"
	@echo "make page     build the chat page and the client library, which make run does too where Node is there"
	@echo "make test     every test, with real parts"
	@echo "make check    formatting, lint, types, import layers, dependency audit"
	@echo "make load     the load report"
	@echo "make chaos    hundreds of faults while people ask and read; takes half an hour"
	@echo "make screenshots  pictures of the chat page's main states"
	@echo "make setup    only the environment: afterwards $(BIN)/chatserver is there"
	@echo "make format   put the code into shape"
	@echo "make lock     write the lock files anew (make lock UPGRADE=--upgrade takes newer versions)"
	@echo "make clean    remove what the others made, but not the data folder"

run: $(VENV)/.runtime
	@$(MAKE) --silent page || echo "The server runs without its chat page, which says how to build it." >&2
	@$(BIN)/chatserver serve --demo

page: $(PAGE) $(CLIENT)

$(PAGE): $(NODE_MODULES) $(shell find frontend_shim/page frontend_shim/src -name dist -prune -o -type f -print)
	@npm run --silent --prefix frontend_shim page

$(CLIENT): $(NODE_MODULES) $(shell find frontend_shim/src -type f) $(wildcard frontend_shim/*.ts frontend_shim/*.json)
	@npm run --silent --prefix frontend_shim build >/dev/null

# The engine and the transports once more where asyncio itself looks for slow or lost coroutines.
test: setup page
	@tests/setup.sh
	@PYTHONASYNCIODEBUG=1 $(BIN)/python -X dev -m pytest -q tests/unit/engine tests/unit/transports
	@$(BIN)/pytest tests/unit
	@$(BIN)/pytest --ignore=tests/unit

check: setup $(NODE_MODULES)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@npm run --silent --prefix frontend_shim check
	@$(BIN)/python .ci/audit.py requirements/dev.lock

screenshots: setup page
	@$(BIN)/python -m tests.browser.screenshots

load: setup
	@$(BIN)/python -m loadtests

chaos: setup
	@tests/setup.sh
	@$(BIN)/python -m tests.chaos.long --keep

setup: $(VENV)/.dev

$(VENV)/.runtime: requirements/build.lock requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; name one as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
		echo "Python's venv module is needed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PIP) install --require-hashes -r requirements/build.lock -r requirements/runtime.lock
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
# Before the tests' packages are there: those mustn't be what the server runs on.
	@$(BIN)/python -c 'import chatserver.app.serve, chatserver.app.worker'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@

$(NODE_MODULES): frontend_shim/package.json frontend_shim/package-lock.json
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major < 20 || (major == 20 && minor < 19) ? 1 : 0)' || { \
		echo "Node 20.19 or newer is needed for the browser's part." >&2; exit 1; }
	@npm ci --loglevel error --prefix frontend_shim >/dev/null
	@touch $@

# Each lock file keeps to the versions of the one before, so that one environment can hold them all.
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: $(VENV)/uv
	@$(LOCK) $(UPGRADE) pyproject.toml -o requirements/runtime.lock
	@$(LOCK) $(UPGRADE) --group dev -c requirements/runtime.lock pyproject.toml -o requirements/dev.lock
	@echo hatchling | $(LOCK) $(UPGRADE) -c requirements/dev.lock - -o requirements/build.lock
# npm leaves out in silence what its registry doesn't have for other machines; the dry run says so and fails.
	@npm $(if $(UPGRADE),update,install) --package-lock-only --loglevel error --prefix frontend_shim
	@npm ci --dry-run --loglevel error --prefix frontend_shim >/dev/null

$(VENV)/uv:
	@$(PYTHON) -m venv $@
	@$@/bin/python -m pip --disable-pip-version-check --quiet install uv

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) dist screenshots frontend_shim/node_modules frontend_shim/dist frontend_shim/page/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find chatserver tests loadtests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
