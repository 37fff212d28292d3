# Each verb sets up what it needs by itself, so that any of them can be the first command after a clone.
# Debian 12 with git and make is enough; what else is missing comes through apt when root runs make, and
# is named in a message otherwise.

# Makes .venv: 3.11 or newer.
PYTHON ?= python3
# Test processes; 0 runs the tests in this one (for a debugger).
WORKERS ?= auto
# Passed on to the program behind a verb.
ARGS ?=

# Programs a verb starts, as PROGRAM or PROGRAM=DEBIAN-PACKAGE.
dns_programs := pdns_server=pdns-server dig=bind9-dnsutils \
	/var/lib/dpkg/info/pdns-backend-remote.list=pdns-backend-remote
demo_programs := docker-registry skopeo $(dns_programs)
test_programs := docker-registry skopeo containerd ctr=containerd nginx haproxy openssl strace \
	/usr/lib/nginx/modules/ngx_stream_module.so=libnginx-mod-stream promtool=prometheus systemd-analyze=systemd \
	ip=iproute2 tc=iproute2 nft=nftables $(dns_programs)
bench_programs := docker-registry skopeo nginx openssl wrk curl gcc /usr/include/stdio.h=libc6-dev dnsperf \
	/var/lib/dpkg/info/pdns-backend-geoip.list=pdns-backend-geoip $(dns_programs)

# A package is checked from its first module on.
packages := config geo hub loadtest proxy tests/support
typed := $(patsubst %/__init__.py,%,$(wildcard $(packages:%=%/__init__.py)))

bin := .venv/bin
# What is set up: the locked packages, and the project itself beside them.
locked := .venv/.locked
ready := .venv/.ready

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test soak check bench load lock clean demo-programs test-programs bench-programs

help:
	@echo 'make demo    pull and push an image through a replica over a slow link, and print the times;'
	@echo '             then push one that arrives in two regions before anybody pulls it'
	@echo '             ARGS=--stay keeps it running; DEMO_PRIMARY=URL uses an existing registry'
	@echo 'make test    run the tests (ARGS=... goes to pytest)'
	@echo 'make soak    the state machines and the sweeps of faults, at length'
	@echo 'make check   style, types, import directions, lock files'
	@echo 'make bench   measure beside nginx, a bare handler and a stock registry, and print the ratios'
	@echo 'make load    pull as container runtimes do: TARGET=URL REFERENCE=NAME:TAG'
	@echo 'make lock    write requirements/*.txt again (ARGS=--upgrade takes newer releases)'
	@echo 'make clean   remove everything that make made'

demo: demo-programs $(ready)
	@$(bin)/python -m loadtest.demo $(ARGS)

test: test-programs $(ready)
	@$(bin)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

soak: test-programs $(ready)
	@SOAK=1 $(bin)/python -m pytest -n $(WORKERS) tests/faults_disk tests/fills/test_state_machine.py \
		tests/replication/test_lossy_primary.py tests/replication/test_convergence.py $(ARGS)

check: $(ready)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy $(typed)
	$(bin)/lint-imports --no-logo
	$(bin)/python tools/check_locks.py

bench: bench-programs $(ready)
	@$(bin)/python -m loadtest.bench $(ARGS)

load: $(ready)
ifeq ($(and $(TARGET),$(REFERENCE)),)
	@echo 'Say what to pull and from where, for instance:' >&2
	@echo '    make load TARGET=http://127.0.0.1:5001 REFERENCE=library/app:1.0' >&2
	@exit 2
else
	@$(bin)/python -m loadtest.load --target $(TARGET) --reference $(REFERENCE) $(ARGS)
endif

# Pins stay as they are where they still fit, and the smaller locks take theirs from the whole one.
compile := $(bin)/uv pip compile pyproject.toml --no-config --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
lock: $(locked)
	$(compile) --extra load --group dev --output-file requirements/all.txt $(ARGS)
	$(compile) --constraint requirements/all.txt --output-file requirements/runtime.txt
	$(compile:pyproject.toml=) --group build --constraint requirements/all.txt --output-file requirements/build.txt
	@$(bin)/python tools/check_locks.py

# On a new machine the environment's own needs go along, so that one message names everything.
demo-programs test-programs bench-programs:
	@tools/debian-packages.sh $($(@:-programs=_programs)) \
		$(if $(wildcard $(locked)),,$$(tools/python-venv.sh needs $(PYTHON)))

clean:
	rm -rf .venv build dist reports .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(locked): requirements/all.txt tools/python-venv.sh
	@tools/python-venv.sh make $(PYTHON) .venv
	@echo 'Installing the locked packages into .venv'
	@$(bin)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/all.txt
	@touch $@

$(ready): pyproject.toml $(locked)
	@$(bin)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
