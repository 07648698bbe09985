# SPDX-License-Identifier: MIT
# Vitrine: `make help` lists the targets.
#
# Nothing here may need a program that a bare Debian machine lacks before ci/deps has run: the
# targets for users call it, then make again for what they are made of.

CONFIG  ?= config/default.conf
CMDLINE ?=
DEBUG   ?= 1
CPUS    ?= 4
MEMORY  ?= 2048
MACHINE ?= auto
LINE    ?= build/gdb
CONSOLES ?= build/console
JOBS    ?= $(shell nproc)
CC      := gcc
HOSTCC  := gcc
PYTHON  := /usr/bin/python3
B       := build

ifneq ($(filter-out clean help,$(or $(MAKECMDGOALS),iso)),)
ifneq ($(wildcard $B),)
ifeq ($(wildcard $B/.),)
$(error $B is there and is no folder, which is where all that is built goes; `make clean` removes it)
endif
endif
endif

ifneq ($(filter iso run,$(or $(MAKECMDGOALS),iso)),)
ifeq ($(strip $(CONFIG)),)
$(error CONFIG= is empty; it names a configuration, and left out it is config/default.conf)
endif
endif

SHELL   := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := iso
MAKEFLAGS += --no-builtin-rules

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wstrict-prototypes \
        -Wmissing-prototypes -Wundef -Wwrite-strings -Wvla -Wimplicit-fallthrough -Wformat=2 \
        -Wno-missing-field-initializers
# By override: another's flags on the command line (CFLAGS=-O3) are not for a bare-metal program.
override CFLAGS = \
          -std=gnu17 -O2 -g $(WARN) -Isrc -ffreestanding -fno-builtin-printf -mgeneral-regs-only \
          -mno-red-zone -mcmodel=kernel -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
          -fasynchronous-unwind-tables -fno-strict-aliasing -ffunction-sections -fdata-sections \
          -DDEBUG=$(DEBUG) $(if $(COUNT),-DCOUNT_VMX=1)
override LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--gc-sections \
                    -Wl,-z,noexecstack

HOST_CFLAGS := -std=gnu17 -O1 -g $(WARN) -Isrc -Itests/unit -DHOST_BUILD=1 -DDEBUG=1 \
               -fsanitize=address,undefined -fno-sanitize-recover=all -fno-strict-aliasing

# ---- the appliance -------------------------------------------------------------------------
SRC_C := $(sort $(wildcard src/*.c src/*/*.c))
SRC_S := $(sort $(wildcard src/*/*.S))
OBJ   := $(SRC_C:%.c=$B/obj/%.o) $(SRC_S:%.S=$B/obj/%.S.o)

# Sources without privileged instructions, and what is made for some of them to include; each room
# names its own.
PURE :=
GENERATED :=
include $(wildcard src/*/pure.mk)
include $(wildcard images/images.mk)

.PHONY: all help deps iso tools run gdb test test-long unit smoke smoke-nested bench bench-compare \
        lint coverage format clean FORCE
all: iso

# What is being made is told, unless make was told to be silent.
QUIET := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say    = $(if $(QUIET),,echo "  $1")

# As many jobs as there are processors, unless make was told how many.
SUBMAKE = $(MAKE) -s --no-print-directory QUIET=$(QUIET) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# make passes SIGTERM on to its own children alone, and its end by SIGKILL to nobody. Nor SIGINT, which
# the launcher looks for itself.
TIED := ci/tied $(shell echo $$PPID)

help: ## this list
	@echo "Targets (make alone builds the ISO):"
	@awk -F ':.*## ' '/^[a-zA-Z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables and their defaults:"
	@echo "  CONFIG=config/default.conf   what the ISO holds and runs (iso, run)"
	@echo "  CMDLINE=                     the appliance's command line (docs/configuration.md; iso, run)"
	@echo "  CPUS=4 MEMORY=2048           the emulated machine: processors, MB (run; smoke: processors)"
	@echo "  MACHINE=auto                 bochs, qemu, or auto: QEMU where KVM offers VMX (run, smoke)"
	@echo "  SMOKE_ARGS=                  more options for ci/smoke, which --help lists (smoke)"
	@echo "  VM=NAME                      the VM to debug; by default the first (gdb)"
	@echo "  LINE=build/gdb               the debugger's line: a link (run, gdb), or a serial port (gdb)"
	@echo "  CONSOLES=build/console       where VMs' consoles are ptys, and what the log is named after (run)"
	@echo "  DEBUG=1                      0: without assertions, tests of faults and checks of VM entries"

deps: ## install what building, running, testing and linting need (Debian)
	@ci/deps all

# The flags that objects are built with; what is built with others is built again.
$B/obj/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS)' > $@

$B/obj/%.o: %.c Makefile $B/obj/flags
	@mkdir -p $(@D)
	@$(call say,CC      $<)
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$B/obj/%.S.o: %.S Makefile $B/obj/flags
	@mkdir -p $(@D)
	@$(call say,AS      $<)
	@$(CC) $(CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

# Linked twice: the first pass gives the symbols that the second carries for its own backtraces.
$B/vitrine.elf $B/ksyms.o &: $(OBJ) src/boot/link.ld src/boot/ksyms.py Makefile
	@$(call say,LINK    $B/vitrine.elf)
	@printf '' | $(PYTHON) src/boot/ksyms.py > $B/ksyms0.S
	@$(CC) $(CFLAGS) -c $B/ksyms0.S -o $B/ksyms0.o
	@$(CC) $(LDFLAGS) -T src/boot/link.ld $(OBJ) $B/ksyms0.o -o $B/pass1.elf
	@nm -n $B/pass1.elf | $(PYTHON) src/boot/ksyms.py > $B/ksyms.S
	@$(CC) $(CFLAGS) -c $B/ksyms.S -o $B/ksyms.o
	@$(CC) $(LDFLAGS) -T src/boot/link.ld $(OBJ) $B/ksyms.o -o $B/vitrine.elf
	@rm -f $B/pass1.elf $B/ksyms0.S $B/ksyms0.o

# What GRUB loads: no debug information.
$B/vitrine.bin: $B/vitrine.elf
	@strip -s -o $@ $<

ISO_PARTS := $B/vitrine.bin $B/host/vitrine-config images
MKISO      = ci/mkiso --config '$(CONFIG)' --output $B/vitrine.iso --cpus $(CPUS) --memory $(MEMORY) \
             $(if $(CMDLINE),--cmdline '$(CMDLINE)')

# What users make mistakes in is done by the outermost make, which then says least about it.
iso: ## build build/vitrine.iso from CONFIG
	@ci/deps iso
	+@$(SUBMAKE) $(ISO_PARTS)
	@$(MKISO)

.PHONY: images
images: $(IMAGES)

tools: ## build what ci/smoke needs for a kernel of your own: docs/ci.md
	@ci/deps run
	+@$(SUBMAKE) $B/vitrine.bin $B/host/vitrine-config

# ---- running -------------------------------------------------------------------------------
run: ## boot it in an emulator, with this terminal as its console
	+@$(TIED) ci/prepare run '$(MACHINE)' 'booting; Linux is at its shell in half a minute' \
	    $(SUBMAKE) $(ISO_PARTS)
	@$(MKISO)
	@ci/gdb --config '$(CONFIG)' --line $(LINE) --how
	@$(TIED) ci/appliance --user-ends --iso $B/vitrine.iso --config '$(CONFIG)' --gdb $(LINE) \
	    --machine $(MACHINE) --cpus $(CPUS) --memory $(MEMORY) --consoles $(CONSOLES)

gdb: ## attach gdb, with symbols, to what `make run` runs in another terminal
	@ci/gdb $(if $(filter file,$(origin CONFIG)),,--config $(CONFIG)) --line $(LINE) $(VM)

# ---- host tools and unit tests -------------------------------------------------------------
PURE_OBJ := $(PURE:%.c=$B/host/%.o)
UNIT     := $(patsubst tests/unit/test_%.c,$B/host/test_%,$(sort $(wildcard tests/unit/test_*.c)))

$B/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	@$(call say,HOSTCC  $<)
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$B/host/libpure.a: $(PURE_OBJ)
	@rm -f $@ && ar rcs $@ $^

# The appliance's own reading of a configuration, for make iso.
$B/host/vitrine-config: config/vitrine-config.c $B/host/libpure.a
	@$(call say,HOSTCC  $<)
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP $< $B/host/libpure.a -o $@

# A unit test is one file, tests/unit/test_NAME.c, linked with all pure code; libraries that it
# wants beside cmocka stand in its first lines as "// LIBS: -lZydis".
$B/host/test_%: tests/unit/test_%.c $B/host/libpure.a
	@$(call say,HOSTCC  $<)
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP $< $(filter %.o,$^) $B/host/libpure.a -o $@ -lcmocka \
	    $(shell sed -n 's,^// LIBS: ,,p' tests/unit/test_$*.c)

# Tests of the virtual CPU, test_vcpu_NAME.c: with src/vcpu as it is, on a back end in
# tests/unit/scripted instead of src/vmx, whose headers are found first.
SCRIPTED      := $(filter-out src/vcpu/selftest.c src/vcpu/lapic%,$(wildcard src/vcpu/*.c)) \
                 src/smp/timer.c src/smp/message.c src/vmx/exit_names.c \
                 $(wildcard tests/unit/scripted/*.c)
SCRIPTED_OBJ  := $(SCRIPTED:%.c=$B/host/scripted/%.o)

$B/host/scripted/%.o: %.c Makefile
	@mkdir -p $(@D)
	@$(call say,HOSTCC  $<)
	@$(HOSTCC) -Itests/unit/scripted $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$B/host/libscripted.a: $(SCRIPTED_OBJ)
	@rm -f $@ && ar rcs $@ $^

$B/host/test_vcpu_%: tests/unit/test_vcpu_%.c $B/host/libscripted.a $B/host/libpure.a
	@$(call say,HOSTCC  $<)
	@$(HOSTCC) -Itests/unit/scripted $(HOST_CFLAGS) -MMD -MP $< $B/host/libscripted.a \
	    $B/host/libpure.a -o $@ -lcmocka

# The backtraces' symbols, read back, and their unwind information.
$B/host/test_ksyms: $B/ksyms.o
$B/host/test_unwind: $B/vitrine.elf

# ---- tests ---------------------------------------------------------------------------------
PYTEST := BUILT=yes $(PYTHON) -B -m pytest

# What tests of the appliance boot; they have it built themselves unless it is.
.PHONY: test-parts
test-parts: $(ISO_PARTS) $B/count/vitrine.bin $B/images/load.gz $B/images/vmlinux

test: ## all tests but the long ones: unit tests, the appliance in emulators, gdb
	+@$(TIED) ci/prepare test bochs 'the tests, 20 minutes' \
	    $(SUBMAKE) iso tests-built test-parts
	@$(PYTEST) -m 'not long' $(PYTEST_ARGS)

test-long: ## all tests
	@ci/deps bare
	+@$(TIED) ci/prepare test bochs 'the tests, an hour' \
	    $(SUBMAKE) iso tests-built test-parts
	@$(PYTEST) $(PYTEST_ARGS)

unit: ## unit tests on the host
	@ci/deps test
	+@$(SUBMAKE) tests-built
	@$(PYTEST) $(PYTEST_ARGS) tests/unit

smoke: ## boot it, wait for Linux's shell, gdb and the end: a minute
	+@$(TIED) ci/prepare run '$(MACHINE)' 'the smoke test, a minute' \
	    $(SUBMAKE) $(ISO_PARTS)
	@$(TIED) ci/smoke --machine $(MACHINE) --cpus $(CPUS) $(SMOKE_ARGS)

# With APICv, without it, and without EPT's accessed and dirty bits; see docs/nested.md.
smoke-nested: ## the same in QEMU with nested KVM, which runs in Bochs: some minutes for each lane
	+@$(TIED) ci/prepare run bochs 'the smoke test in the emulated Linux, two minutes a lane' \
	    $(SUBMAKE) $(ISO_PARTS)
	@ci/smoke-nested $(LANES)

bench: ## count round trips, exits and sizes, beside their budgets
	+@$(TIED) ci/prepare run bochs 'the benchmark, two minutes' \
	    $(SUBMAKE) $(ISO_PARTS) $B/count/vitrine.bin
	@ci/bench $(BENCH_ARGS)

bench-compare: ## the same round trips under Linux's KVM with QEMU, in the same emulator
	+@$(TIED) ci/prepare run bochs 'the comparison, some minutes' \
	    $(SUBMAKE) $(ISO_PARTS)
	@ci/bench-compare

# The appliance once more, as it counts for the benchmark (src/lib/count.h).
$B/count/vitrine.bin: FORCE
	+@$(MAKE) -s --no-print-directory B=$B/count COUNT=1 $@

.PHONY: tests-built
tests-built: $(UNIT)

# make fuzz-NAME builds tests/fuzz/fuzz_NAME.c and runs it for FUZZ_SECONDS; what it finds
# interesting stays in build/corpus/NAME.
FUZZ_SECONDS ?= 60

FUZZ_CFLAGS := -std=gnu17 -O1 -g -Isrc -I$B/gen -DHOST_BUILD=1 -DDEBUG=1 \
               -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

$B/fuzz/src/%.o: src/%.c $(GENERATED) Makefile
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@

# An archive: of the stub, which wants a target, only fuzz-gdb takes anything.
$B/fuzz/libpure.a: $(PURE:%.c=$B/fuzz/%.o)
	@rm -f $@ && ar rcs $@ $^

$B/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $B/fuzz/libpure.a
	@$(call say,FUZZCC  $<)
	@clang $(FUZZ_CFLAGS) -MMD -MP -fsanitize=fuzzer $< $B/fuzz/libpure.a -o $@

fuzz-%: $B/fuzz/fuzz_%
	@mkdir -p $B/corpus/$*
	@$< -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$B/fuzz/ \
	    $(addprefix -dict=,$(wildcard tests/fuzz/fuzz_$*.dict)) $B/corpus/$*

.PRECIOUS: $B/fuzz/fuzz_% $B/fuzz/src/%.o

# ---- style ---------------------------------------------------------------------------------
lint: ## formatting, static analysis, shell and Python checkers
	@ci/deps lint
	+@$(SUBMAKE) $(GENERATED)
	+@$(SUBMAKE) -k -f ci/lint.mk

coverage: ## write into docs/coverage.md which tests show what
	@ci/coverage

format: ## format all C
	@ci/deps lint
	+@$(SUBMAKE) -f ci/lint.mk format

clean: ## remove build/
	@rm -rf $B

-include $(OBJ:.o=.d) $(PURE_OBJ:.o=.d) $(SCRIPTED_OBJ:.o=.d) $(PURE:%.c=$B/fuzz/%.d) $(wildcard $B/fuzz/*.d) $(UNIT:=.d) $B/host/vitrine-config.d
