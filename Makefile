# make help is the table of contents.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD_PACKAGES := gcc g++ cmake ninja-build pkg-config libseccomp-dev libjson-c-dev libzstd-dev libisal-dev libssl-dev zlib1g-dev python3-dev python3-venv busybox-static
TEST_PACKAGES := debootstrap skopeo umoci docker.io podman runc bubblewrap tmux zstd attr libcap2-bin procps strace crun mount e2fsprogs iproute2 nftables iptables curl nginx-light redis-server iperf3 dnsmasq-base ethtool bind9-dnsutils conntrack iputils-ping git xz-utils bzip2
PEER_PACKAGES := crun catatonit buildah containerd pigz
BINDING_PACKAGES := cffi pybind11
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

$(BIN)/python: build/.packages pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check 'scikit-build-core>=0.10' 'cython>=3.0' 'rich>=13' 'dnspython>=2.8' 'pyroute2>=0.8'
	@touch $@

build/.installed: $(BIN)/python $(SOURCES)
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
	@touch $@

build/.test-tools: $(BIN)/python build/.test-packages pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check pytest pytest-benchmark pytest-timeout pytest-xdist hypothesis mypy pyright ruff grpcio
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

.PHONY: compat
compat: ## docs/compat.md from its parts
	$(BIN)/python -m tests.arch.compat

.PHONY: check
check: build/.installed build/.test-tools ## lint and types
	$(BIN)/ruff check src tests benchmarks cmake docs/examples
	$(BIN)/ruff format --check -q src tests benchmarks cmake docs/examples
	$(BIN)/mypy
	$(BIN)/mypy docs/examples/*.py

.PHONY: check-examples
check-examples: build/.installed build/.test-tools ## pyright, strict, on docs/examples (it needs node, and downloads itself once)
	@if $(BIN)/pyright --version >/dev/null 2>&1; then $(BIN)/pyright; else echo "pyright can't run here: left out"; fi

.PHONY: test
test: build/.installed build/.test-tools check check-examples test-native ## everything: lint, types, C tests, Python tests with real containers
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -n auto -m "not slow" tests/unit tests/arch benchmarks/tests
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m "not slow" --ignore=tests/peers --ignore=tests/unit --ignore=tests/arch tests

.PHONY: asan
asan: build/.packages ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake -S . -B build/asan -G Ninja -DFASTBOX_WERROR=ON -DFASTBOX_SANITIZE=ON >/dev/null
	ninja --quiet -C build/asan
	ctest --test-dir build/asan --output-on-failure

FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: asan build/.installed ## the readers of documents, archives and packed streams, FUZZ_SECONDS each (docs/fuzzing.md)
	$(BIN)/python -m tests.fuzz build/asan/fuzz
	cd build/asan && ./fuzz_spec $(FUZZ_SECONDS) fuzz/*
	cd build/asan && ./fuzz_tar $(FUZZ_SECONDS)
	cd build/asan && ./fuzz_log $(FUZZ_SECONDS)
	cd build/asan && ./fuzz_inflate $(FUZZ_SECONDS) $(CURDIR)/tests/fuzz/regress/inflate/*
	$(BIN)/python -m tests.fuzz.documents $(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.dockerfiles $(FUZZ_SECONDS)

.PHONY: test-asan
test-asan: asan build/.installed build/.test-tools ## the integration tests with a supervisor under the sanitizers
	rm -rf build/asan-venv /run/fastbox-sanitizer.*
	cp -a $(VENV) build/asan-venv
	cp build/asan/fastbox-supervisor build/asan-venv/lib/python3*/site-packages/fastbox/libexec/
	PATH="$(CURDIR)/build/asan-venv/bin:$$PATH" build/asan-venv/bin/python -m pytest -q -m "not slow" -o timeout=300 tests/integration
	@if cat /run/fastbox-sanitizer.* 2>/dev/null; then exit 1; fi

.PHONY: test-peers
test-peers: build/.installed build/.test-tools build/.peer-packages ## fastbox-oci under podman, buildah, dockerd, containerd and its CRI
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m "not slow" tests/peers

.PHONY: test-fallbacks
test-fallbacks: build/.installed build/.test-tools ## the start suite with each newer system call refused, one at a time (long)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.lanes

.PHONY: test-lanes
test-lanes: test-fallbacks asan test-peers ## every lane but the virtual machine's

.PHONY: test-soak
test-soak: build/.installed build/.test-tools ## kill -9 at many more random instants
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m slow -o timeout=900 tests/integration

.PHONY: test-vm
test-vm: build/.installed build/.test-tools ## the start suite in a virtual machine with pure cgroup v2 (slow: software emulation)
	scripts/vm-test

build/.bindings: build/.installed build/native/.built $(wildcard benchmarks/bindings/*)
	$(BIN)/pip install -q --disable-pip-version-check --upgrade --target build/bindings/site $(BINDING_PACKAGES)
	$(BIN)/python -m benchmarks.bindings.build build/bindings build/native
	@touch $@

BENCH = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python
BENCH_NEEDS := build/.installed build/.test-tools build/.peer-packages build/.bindings
.PHONY: bench
bench: $(BENCH_NEEDS) ## the hot paths under pytest-benchmark, a few minutes; the figures in build/bench.json
	$(BENCH) -m pytest -q benchmarks/test_suites.py --benchmark-json=build/bench.json \
	  --benchmark-columns=min,median,max,iqr,rounds --benchmark-sort=min --benchmark-group-by=group

.PHONY: bench-vs-peers
bench-vs-peers: $(BENCH_NEEDS) ## fastbox, the C floor and the peers interleaved, at most 10 minutes; result, tables and plots
	$(BENCH) -m benchmarks.vs_peers

.PHONY: bench-start
bench-start: $(BENCH_NEEDS) ## only the table of one start
	$(BENCH) -m benchmarks.vs_peers --suites start

.PHONY: bench-life
bench-life: $(BENCH_NEEDS) ## only what a container's life is made of: exec's output, logs, cp, stats, fork, memory (8 minutes)
	$(BENCH) -m benchmarks.vs_peers --suites life

.PHONY: bench-network
bench-network: $(BENCH_NEEDS) ## only networks: starts, making, published ports, a thousand of them; beside docker (5 minutes)
	$(BENCH) -m benchmarks.vs_peers --suites network

.PHONY: bench-layers
bench-layers: $(BENCH_NEEDS) ## only a real image's layers, beside tar, docker, podman, skopeo and umoci: 8 minutes, the first time 10
	$(BENCH) -m benchmarks.vs_peers --own-disk 24 --suites layers

.PHONY: bench-build
bench-build: $(BENCH_NEEDS) ## only builds of an image, beside docker's builder and buildah: 9 minutes
	$(BENCH) -m benchmarks.vs_peers --own-disk 24 --suites build

.PHONY: bench-bindings
bench-bindings: $(BENCH_NEEDS) ## Cython, cffi, pybind11 and ctypes on the same call
	$(BENCH) -m benchmarks.vs_peers --suites bindings

.PHONY: clean
clean: ## remove what the build made
	rm -rf build $(VENV)
