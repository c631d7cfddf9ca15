# Weir's commands. Each needs python3 (3.11 or newer, with venv) and makes the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
LOCAL := $(PYTHON) -m deploy.local
SERVICES := $(PYTHON) -m deploy.services

# Start the services that do not run yet; those, and no others, are stopped at the end.
with_services = absent=$$($(LOCAL) status | awk '$$2 != "up" {print $$1}' | paste -sd, -); \
	if [ -n "$$absent" ]; then trap "$(LOCAL) down --only $$absent" EXIT; $(LOCAL) up; fi

.PHONY: help demo test check laws mutants chaos ownership hostile intruders soak drill bench audit image manifests plant-year up down status lock oncall-drill storm pictures

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; \
	do printf '  make %-11s %s\n' "$$name" "$$what"; done

demo: $(READY) ## [UNITS=48] [DAYS=24]: the whole system on its real parts, ending in a breach and its notification
	@$(LOCAL) up
	@$(PY) -m deploy.demo $(if $(UNITS),--units $(UNITS)) $(if $(DAYS),--days $(DAYS))

# Three runs beside each other, each waiting most of its time: most tests at servers, the others at servers, all else.
BESIDE := tests/security $(wildcard $(addprefix tests/integration/test_,silent_unit.py worker_kills.py plant_year.py chaos.py prometheus.py))
AT_SERVERS := tests/dashboards $(filter-out $(BESIDE),$(wildcard tests/integration/test_*.py))
FOLDERS := $(filter-out tests/integration/ tests/dashboards/ tests/security/ tests/__pycache__/,$(wildcard tests/*/))
OTHERS := $(FOLDERS) $(wildcard tests/test_*.py)

test: $(READY) ## all checks and tests on the real servers; a test left out fails it
	@mkdir -p build; $(MAKE) --no-print-directory check > build/check.log 2>&1 & check=$$!; \
	$(with_services); \
	$(PY) -m pytest $(OTHERS) --junitxml=build/junit-others.xml > build/others.log 2>&1 & others=$$!; \
	$(PY) -m pytest $(BESIDE) --junitxml=build/junit-beside.xml > build/beside.log 2>&1 & beside=$$!; \
	code=0; wait $$check || code=$$?; cat build/check.log; \
	$(PY) -m pytest $(AT_SERVERS) --junitxml=build/junit.xml || code=$$?; \
	wait $$beside || code=$$?; cat build/beside.log; wait $$others || code=$$?; cat build/others.log; exit $$code

check: $(READY) ## lint, format, types, imports, module lists: what needs no server
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy $(wildcard schemas ingest processors alerts dashboards deploy/local tests/oracle)
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) -m pytest -qq tests/test_module_lists.py

laws: $(READY) ## every law under 10,000 examples
	@$(with_services); WEIR_LAWS=laws $(PY) -m pytest -m hypothesis --timeout=0

mutants: $(READY) ## each named mutation must fall to a law
	@$(PY) -m tests.mutants

chaos: $(READY) ## [FAULTS=100] [SEED=...] [ONLY="disk full;ticks"]: faults under load, on servers of its own
	@$(PY) tests/chaos/chaos.py --faults $(or $(FAULTS),100) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

ownership: $(READY) ## how long partitions stand still when workers join, leave and die
	@$(PY) tests/chaos/ownership.py

hostile: $(READY) ## [N=1000000] [SEED=...]: hostile messages through gateway and worker, each accounted for
	@$(PY) tests/chaos/hostile.py --messages $(or $(N),1000000) $(if $(SEED),--seed $(SEED))

soak: $(READY) ## [MINUTES=30] [RATE=28000] [UNITS=2800]: a plain load for long, with readers; lag, memory, growth
	@$(PY) tests/chaos/soak.py --minutes $(or $(MINUTES),30) --rate $(or $(RATE),28000) --units $(or $(UNITS),2800)

intruders: $(READY) ## [N=1000] [SEED=7]: a unit tries to be another, by class; nothing may get through
	@$(PY) -m tests.security.intruders --attempts $(or $(N),1000) $(if $(SEED),--seed $(SEED))

pictures: $(READY) ## docs/*.png anew: the reports of the demo's database in Chromium (after make demo)
	@$(PY) -m deploy.pictures

drill: $(READY) ## backup, loss, restore and a resize, with real workers and an Alertmanager
	@$(with_services); $(PY) -m tests.chaos.drill

oncall-drill: $(READY) ## [SIZE=300]: the alerts alone in a storm that also ends, one of two workers killed in it
	@$(with_services); $(PY) -m tests.chaos.oncall_drill $(if $(SIZE),--size $(SIZE))

storm: $(READY) ## [FILE=deploy/example/storm.toml]: the simulator's storm of listed facts through the whole chain (7 minutes)
	@$(with_services); $(PY) -m tests.chaos.storm_drill $(FILE)

bench: $(READY) ## [ROWS=one,two] [QUICK=1] [RUNS=3] [DAYS=3] [AGAINST=COMMIT]: rates against the yardstick
	@$(with_services); PYTHONPATH=. $(PY) tests/benchmarks/bench.py \
	$(if $(ROWS),--rows "$(ROWS)") $(if $(QUICK),--quick) $(if $(RUNS),--runs "$(RUNS)") \
	$(if $(DAYS),--prefill-days "$(DAYS)") $(if $(AGAINST),--against "$(AGAINST)") \
	$(if $(ROWS)$(QUICK)$(AGAINST),,--document)

audit: $(READY) ## secrets in the repository, and known weaknesses of what is pinned (the latter needs PyPI's own pages)
	@git ls-files -z | xargs -0 $(VENV)/bin/detect-secrets-hook --baseline .secrets.baseline
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && \
	build/audit/bin/pip --disable-pip-version-check --quiet install pip-audit==2.9.0; }
	@build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

image: $(READY) ## run the Dockerfile's steps in a folder, then its services as its user (as root, 3 minutes)
	@$(PY) -m deploy.image_check

manifests: $(READY) ## compose file, chart and Dockerfile, read by Compose's loader, helm, the schemas of Kubernetes, hadolint (needs Go)
	@$(PY) -m deploy.manifest_check

plant-year: $(READY) ## FILE=... [QUOTA_TCE=...]: a plant's year, streamed as history
	@test -n "$(FILE)" || { echo 'say which file: make plant-year FILE=... [QUOTA_TCE=...]' >&2; exit 2; }
	@$(PY) -m deploy.plant_year "$(FILE)" $(if $(QUOTA_TCE),--quota-tce "$(QUOTA_TCE)")

up: ## start the servers on this machine
	@$(LOCAL) up

down: ## stop Weir's services, then the servers
	@$(SERVICES) down
	@$(LOCAL) down

status: ## what runs where, and how far it is
	@$(LOCAL) status
	@$(SERVICES) status

lock: ## write constraints.txt anew, from pyproject.toml in a clean environment
	@echo 'weir: resolving the newest versions that pyproject.toml allows'
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip --disable-pip-version-check --quiet install hatchling editables '.[dev]'
	@{ sed -n '/^#/p' constraints.txt; build/lock/bin/pip --disable-pip-version-check freeze | \
	grep -v '^weir '; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build/lock

# Not after pyproject.toml, which changes with every module named in it: a change of dependencies
# is a change of constraints.txt.
$(READY): constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	"weir: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo 'weir: making $(VENV) (half a minute, about 250 MB)'
	@$(PYTHON) -m venv $(VENV) || { echo \
	'weir: $(PYTHON) has no venv; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PIP) install -c constraints.txt hatchling editables
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@
