# Each target first creates .venv, and builds and installs the package into it.
#
#   make demo [INPUT="file dir url"]   count words with an external C program; make coverage
#   make bench [OPTIONS="--only NAME"] measure the figures, into build/bench too; OPTIONS=--help
#   make test                          the tests, several at a time; in random order (the seed is printed): make test ORDER=random
#   make test-fast                     without those marked slow, for use after each change
#   make test-all                      with those marked cluster, as in CI
#   make test-cluster                  those marked cluster: Ray, and 50 kills of each kind of process
#   make clauses                       the tests of each clause of PROTOCOL.md
#   make lint                          ruff, mypy --strict, the order of imports, and lint-c: clang-format, gcc -fanalyzer
#   make lib                           libdisco alone, in build/lib; make install PREFIX=/usr/local DESTDIR=
#   make fuzz [SECONDS=60]             each fuzz target for that long, with clang (fuzz/fuzz.h)
#   make matrix                        every broken worker under every case of the kit that is not long
#   make bad-workers                   what happens here and elsewhere when a worker misbehaves
#   make docs                          the documentation as HTML, in build/docs

PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
INPUT ?=
OPTIONS ?=
SECONDS ?= 60
ORDER ?= file

BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
PIP := $(BIN)/pip --disable-pip-version-check -q
# Most of what is installed is never imported: Python compiles a module at its first import, and keeps that.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PIP) install --no-compile
SOURCES := $(shell find kvproto csrc include -name '*.py' -o -name '*.[ch]' -o -name '*.in' -o -name meson.build) \
           $(shell find kvproto -name '*.md') meson.build meson.options pyproject.toml README.md

.PHONY: build test test-all test-fast test-cluster clauses lint lint-c lint-imports lint-style lint-types matrix demo bench bad-workers coverage docs fuzz lib install judy tools-of-tests clean

build: .venv/built

# Twice as many processes as cores: many tests wait for something.
PYTEST := $(BIN)/pytest --numprocesses $$((2 * $$(nproc))) --dist worksteal

IN_ORDER := $(if $(filter random,$(ORDER)),-p pytest_randomly -v)

test: build tools-of-tests
	$(PYTEST) $(IN_ORDER)

test-all: build tools-of-tests .venv/cluster
	@.ci/prepare cluster
	$(PYTEST) -m '' $(IN_ORDER)

test-fast: build
	$(PYTEST) -m 'not slow and not cluster'

test-cluster: build .venv/cluster
	@.ci/prepare cluster
	$(PYTEST) -m cluster

clauses: build
	$(BIN)/pytest --clauses

lint: lint-imports lint-style lint-types lint-c

lint-imports: .venv/lint
	$(BIN)/lint-imports

lint-style: .venv/lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: .venv/lint
	$(BIN)/mypy

C_FORMATTED := $(shell find csrc include fuzz tests kvproto -name '*.[ch]' -o -name '*.cpp')
C_ANALYSED := $(shell find csrc -name '*.c')
C_CHECKED := -std=gnu11 -O1 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -fanalyzer \
             -DDISCO_STDIO_GLIBC -DPy_LIMITED_API=0x030b0000 -Iinclude -Icsrc/libdisco -Icsrc/native

# The layout of C by clang-format; what gcc finds by following the paths through each function.
lint-c: .venv/lint
	$(BIN)/clang-format --dry-run -Werror $(C_FORMATTED)
	python=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	printf '%s\n' $(C_ANALYSED) | xargs -P "$$(nproc)" -I{} gcc $(C_CHECKED) -isystem "$$python" -c {} -o /dev/null

matrix: build
	MATRIX=all $(PYTEST) tests/conformance/test_matrix.py

demo: build
	@$(BIN)/kvproto demo $(INPUT)

bench: build
	@.ci/prepare bench
	PYTHONPATH=tests $(BIN)/python -P -m benchmarks.run $(OPTIONS)

bad-workers: build
	@.ci/prepare bench
	PYTHONPATH=tests $(BIN)/python -P -m benchmarks.bad_workers

coverage: build
	PYTHONPATH=tests $(BIN)/python -P -m libdisco.line_coverage

docs: build .venv/docs
	$(BIN)/sphinx-build -q -W --keep-going docs build/docs

fuzz: build
	@.ci/prepare fuzz
	@fuzz/run $(SECONDS)

lib: .venv/tools judy
	test -f build/lib/build.ninja || $(BIN)/meson setup build/lib
	$(BIN)/meson configure build/lib --prefix $(abspath $(PREFIX)) --libdir lib
	$(BIN)/meson compile -C build/lib

install: lib
	DESTDIR=$(DESTDIR) $(BIN)/meson install -C build/lib --no-rebuild

clean:
	rm -rf build .venv

# The tools that build; what a bare Debian lacks for them comes through apt where we are root.
.venv/tools: pyproject.toml
	.ci/prepare tools $(PYTHON)
	$(PYTHON) -m venv .venv
	$(INSTALL) 'meson-python >= 0.18' 'meson >= 1.6' ninja 'cffi >= 1.17' 'pip >= 25.1'
	$(INSTALL) --group test --group bench 'cloudpickle >= 3' 'rich >= 13' "backports.zstd >= 1; python_version < '3.14'"
	touch $@

.venv/built: .venv/tools $(SOURCES)
	$(PIP) install --no-build-isolation --no-deps --force-reinstall -Cbuild-dir=build/wheel .
	touch $@

# The other groups of pyproject.toml, one at a time.
.venv/lint .venv/docs .venv/cluster: .venv/tools
	flock .venv $(INSTALL) --group $(@F)
	touch $@

# libjudy-dev, for read_parameters() alone: all else goes on without it.
judy:
	@.ci/prepare judy

# What some tests need and are skipped without: valgrind, strace, other C libraries, a big-endian machine.
tools-of-tests: judy
	@.ci/prepare tests
