# make help is the table of contents.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD_PACKAGES := gcc g++ cmake ninja-build pkg-config libseccomp-dev libjson-c-dev libzstd-dev libisal-dev libssl-dev python3-dev python3-venv busybox-static
TEST_PACKAGES := debootstrap skopeo umoci docker.io runc bubblewrap tmux zstd attr libcap2-bin procps
PEER_PACKAGES := crun
SOURCES := $(shell git ls-files --cached --others --exclude-standard src CMakeLists.txt pyproject.toml cmake 2>/dev/null)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# Debian packages are asked for once: the stamp names them, so a longer list installs the rest.
define install_packages
	missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; as=""; [ "$$(id -u)" = 0 ] || as="sudo"; \
	  $$as apt-get update -q; DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -q --no-install-recommends $$missing; \
	fi
endef

build/.packages: Makefile
	@mkdir -p build
	@$(call install_packages,$(BUILD_PACKAGES))
	@touch $@

build/.test-packages: Makefile
	@mkdir -p build
	@$(call install_packages,$(TEST_PACKAGES))
	@touch $@

build/.peer-packages: Makefile
	@mkdir -p build
	@$(call install_packages,$(PEER_PACKAGES))
	@touch $@

$(BIN)/python: build/.packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check 'scikit-build-core>=0.10' 'cython>=3.0'
	@touch $@

build/.installed: $(BIN)/python $(SOURCES)
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
	@touch $@

build/.test-tools: $(BIN)/python build/.test-packages pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check pytest pytest-benchmark pytest-timeout hypothesis mypy ruff
	@touch $@

.PHONY: dev
dev: build/.installed ## build fastbox and install it into .venv

.PHONY: hello
hello: build/.installed ## build, then run a first container that needs no network
	@scripts/hello $(BIN)/fastbox

build/native/.built: build/.packages $(SOURCES) $(wildcard tests/native/*.c)
	@cmake -S . -B build/native -G Ninja -DFASTBOX_WERROR=ON >/dev/null
	@ninja --quiet -C build/native
	@touch $@

.PHONY: test-native
test-native: build/native/.built ## the C unit tests
	@ctest --test-dir build/native --output-on-failure

.PHONY: check
check: build/.installed build/.test-tools ## lint and types
	$(BIN)/ruff check src tests benchmarks cmake
	$(BIN)/ruff format --check -q src tests benchmarks cmake
	$(BIN)/mypy

.PHONY: test
test: build/.installed build/.test-tools check test-native ## everything: lint, types, C tests, Python tests with real containers
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m "not slow" tests

.PHONY: asan
asan: build/.packages ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake -S . -B build/asan -G Ninja -DFASTBOX_WERROR=ON -DFASTBOX_SANITIZE=ON >/dev/null
	ninja --quiet -C build/asan
	ctest --test-dir build/asan --output-on-failure

.PHONY: test-asan
test-asan: asan build/.installed build/.test-tools ## the integration tests with a supervisor under the sanitizers
	rm -rf build/asan-venv /run/fastbox-sanitizer.*
	cp -a $(VENV) build/asan-venv
	cp build/asan/fastbox-supervisor build/asan-venv/lib/python3*/site-packages/fastbox/libexec/
	PATH="$(CURDIR)/build/asan-venv/bin:$$PATH" build/asan-venv/bin/python -m pytest -q -m "not slow" -o timeout=300 tests/integration
	@if cat /run/fastbox-sanitizer.* 2>/dev/null; then exit 1; fi

.PHONY: test-soak
test-soak: build/.installed build/.test-tools ## kill -9 at many more random instants
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m slow -o timeout=900 tests/integration

.PHONY: test-vm
test-vm: build/.installed build/.test-tools ## the start suite in a virtual machine with pure cgroup v2 (slow: software emulation)
	scripts/vm-test

RESULT = benchmarks/results/$(shell date +%F)-start.json
.PHONY: bench-start
bench-start: build/.installed build/.test-tools build/.peer-packages ## time a start against the C floor and the peers; write the tables and the plots
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.vs_peers --variants --rounds 30 --out $(RESULT)
	$(BIN)/python -m benchmarks.report $(RESULT)

.PHONY: clean
clean: ## remove what the build made
	rm -rf build $(VENV)
