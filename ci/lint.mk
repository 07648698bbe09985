# SPDX-License-Identifier: MIT
# What `make lint` and `make format` do. Each file that was found clean leaves a stamp in
# build/lint, so that a second run looks only at what has changed.

B          := build
L          := $B/lint
SHELL      := /bin/bash
MAKEFLAGS  += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := lint
.PHONY: lint format clang-format clang-tidy cppcheck shellcheck pyflakes foreign rooms contracts errors coverage

HEADERS := $(wildcard src/*/*.h images/*/*.h tests/*/*.h tests/unit/scripted/*.h tests/unit/scripted/*/*.h)
SOURCES := $(wildcard src/*.c src/*/*.c images/*/*.c config/*.c tests/*/*.c tests/unit/scripted/*.c)

# Scripts have no suffix: the first line tells.
script  = $(shell grep -lsE '^\#!.*$1' $(wildcard ci/* ci/*/* .ci/* images/* images/*/*))
SHELL_SCRIPTS  = $(call script,sh$$)
PYTHON_SCRIPTS = $(sort $(call script,python3$$) \
    $(wildcard ci/*.py ci/*/*.py src/*/*.py images/*.py tests/*.py tests/*/*.py))

lint: clang-format shellcheck pyflakes foreign rooms contracts errors coverage cppcheck clang-tidy
	@echo "lint: $(words $(SOURCES) $(HEADERS)) files of C, $(words $(SHELL_SCRIPTS)) of shell," \
	    "$(words $(PYTHON_SCRIPTS)) of Python: clean"

# Releases of clang-format differ in small things; this one's word counts.
FORMAT_RELEASE := 14
clang-format:
	@if clang-format --version | grep -q 'version $(FORMAT_RELEASE)\.'; then \
	    echo "  FORMAT  all C"; \
	    clang-format --dry-run --Werror $(SOURCES) $(HEADERS); \
	else \
	    echo "  FORMAT  not checked: this is not clang-format $(FORMAT_RELEASE)"; \
	fi

format:
	@clang-format -i $(SOURCES) $(HEADERS)

# ---- clang-tidy ----------------------------------------------------------------------------
# The flags that matter to a reader of the code; no header is looked up that the build would not.
TIDY_BARE := -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-builtin-printf
$L/src/%:    FLAGS := $(TIDY_BARE) -mcmodel=kernel -Isrc -I$B/gen -DDEBUG=1
$L/images/%: FLAGS := $(TIDY_BARE) -Isrc -Iimages/runtime -DDEBUG=0
$L/images/load/%: FLAGS := # Linux programs
$L/config/%: FLAGS := -Isrc -DHOST_BUILD=1 -DDEBUG=1
$L/tests/%:  FLAGS := -Isrc -Itests/unit -DHOST_BUILD=1 -DDEBUG=1
$L/tests/unit/test_vcpu_% $L/tests/unit/scripted/%: \
    FLAGS := -Itests/unit/scripted -Isrc -Itests/unit -DHOST_BUILD=1 -DDEBUG=1
$L/tests/appliance/%: FLAGS := -m32 -ffreestanding

clang-tidy: $(SOURCES:%=$L/%.tidy)

# It counts, on stderr, what it has suppressed.
$L/%.tidy: % $(HEADERS) $(wildcard .clang-tidy */.clang-tidy) ci/lint.mk
	@mkdir -p $(@D)
	@echo "  TIDY    $<"
	@clang-tidy --quiet $< -- -std=gnu17 $(FLAGS) 2> >(grep -v 'warnings\? generated\.$$' >&2)
	@touch $@

# ---- others --------------------------------------------------------------------------------
cppcheck:
	@echo "  CPPCHK  all C"
	@mkdir -p $L/cppcheck
	@cppcheck --quiet --cppcheck-build-dir=$L/cppcheck --error-exitcode=1 --std=c11 \
	    --enable=warning,performance,portability --inline-suppr \
	    --suppressions-list=ci/cppcheck-suppressions --template='{file}:{line}: {message} [{id}]' \
	    -Isrc -Iimages/runtime -Itests/unit -DDEBUG=1 -D__x86_64__ src images config tests

shellcheck:
	@echo "  SHELL   $(SHELL_SCRIPTS)"
	@shellcheck $(SHELL_SCRIPTS)

pyflakes:
	@echo "  PYTHON  $(PYTHON_SCRIPTS)"
	@/usr/bin/python3 -m pyflakes $(PYTHON_SCRIPTS)

foreign:
	@echo "  FOREIGN all that starts a build"
	@ci/check-foreign $(wildcard Makefile ci/*.mk src/*/*.mk images/*.mk) \
	    $(SHELL_SCRIPTS) $(PYTHON_SCRIPTS)

rooms:
	@echo "  ROOMS   src"
	@ci/check-rooms

contracts:
	@echo "  ASSERTS src"
	@ci/check-contracts

errors:
	@echo "  ERRORS  src config"
	@ci/check-errors

coverage:
	@echo "  COVERED docs/coverage.md"
	@ci/coverage --check
