# SPDX-License-Identifier: MIT
# Vitrine: `make help` lists the targets.

CONFIG  ?= config/default.conf
DEBUG   ?= 1
CC      := gcc
HOSTCC  := gcc
PYTHON  := /usr/bin/python3
B       := build

SHELL   := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := iso
MAKEFLAGS += --no-builtin-rules

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wstrict-prototypes \
        -Wmissing-prototypes -Wundef -Wwrite-strings -Wvla -Wimplicit-fallthrough -Wformat=2 \
        -Wno-missing-field-initializers
CFLAGS := -std=gnu17 -O2 -g $(WARN) -Isrc -ffreestanding -fno-builtin-printf -mgeneral-regs-only \
          -mno-red-zone -mcmodel=kernel -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
          -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing \
          -ffunction-sections -fdata-sections -DDEBUG=$(DEBUG)
LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
           -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

HOST_CFLAGS := -std=gnu17 -O1 -g $(WARN) -Isrc -Itests/unit -DHOST_BUILD=1 -DDEBUG=1 \
               -fsanitize=address,undefined -fno-sanitize-recover=all -fno-strict-aliasing

# ---- the appliance -------------------------------------------------------------------------
SRC_C := $(sort $(wildcard src/*.c src/*/*.c))
SRC_S := $(sort $(wildcard src/*/*.S))
OBJ   := $(SRC_C:%.c=$B/obj/%.o) $(SRC_S:%.S=$B/obj/%.S.o)

# Sources without privileged instructions; each room names its own.
PURE :=
include $(wildcard src/*/pure.mk)
include $(wildcard images/images.mk)

.PHONY: all help deps iso run gdb test test-long smoke bench lint format clean unit images FORCE
all: iso

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

deps: ## install what building, running, testing and linting need (Debian)
	@ci/deps all

$B/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$B/obj/%.S.o: %.S Makefile
	@mkdir -p $(@D)
	@echo "  AS      $<"
	@$(CC) $(CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

# Linked twice: the first pass gives the symbols that the second carries for its own backtraces.
$B/vitrine.elf: $(OBJ) src/boot/link.ld src/boot/ksyms.awk Makefile
	@echo "  LINK    $@"
	@printf '\n' | awk -f src/boot/ksyms.awk > $B/ksyms0.S
	@$(CC) $(CFLAGS) -c $B/ksyms0.S -o $B/ksyms0.o
	@$(CC) $(LDFLAGS) -T src/boot/link.ld $(OBJ) $B/ksyms0.o -o $B/pass1.elf
	@nm -n $B/pass1.elf | awk -f src/boot/ksyms.awk > $B/ksyms.S
	@$(CC) $(CFLAGS) -c $B/ksyms.S -o $B/ksyms.o
	@$(CC) $(LDFLAGS) -T src/boot/link.ld $(OBJ) $B/ksyms.o -o $@
	@rm -f $B/pass1.elf $B/ksyms0.S $B/ksyms0.o

# What GRUB loads: no debug information.
$B/vitrine.bin: $B/vitrine.elf
	@strip -s -o $@ $<

iso: $B/vitrine.iso ## build build/vitrine.iso from CONFIG (default config/default.conf)

$B/vitrine.iso: $B/vitrine.bin $B/host/vitrine-config images FORCE
	@ci/mkiso --config $(CONFIG) --output $@

images: $(IMAGES)

# ---- host tools and unit tests -------------------------------------------------------------
PURE_OBJ := $(PURE:%.c=$B/host/%.o)
UNIT     := $(patsubst tests/unit/test_%.c,$B/host/test_%,$(sort $(wildcard tests/unit/test_*.c)))

$B/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  HOSTCC  $<"
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$B/host/libpure.a: $(PURE_OBJ)
	@rm -f $@ && ar rcs $@ $^

# The appliance's own reading of a configuration, for make iso.
$B/host/vitrine-config: config/vitrine-config.c $B/host/libpure.a
	@echo "  HOSTCC  $<"
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP $< $B/host/libpure.a -o $@

# A unit test is one file, tests/unit/test_NAME.c, linked with all pure code; libraries that it
# wants beside cmocka stand in its first lines as "// LIBS: -lZydis".
$B/host/test_%: tests/unit/test_%.c $B/host/libpure.a
	@echo "  HOSTCC  $<"
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP $< $B/host/libpure.a -o $@ -lcmocka \
	    $(shell sed -n 's,^// LIBS: ,,p' tests/unit/test_$*.c)

unit: $(UNIT) ## unit tests on the host
	@for t in $(UNIT); do echo "== $$t"; $$t || exit 1; done

clean: ## remove build/
	rm -rf $B

-include $(OBJ:.o=.d) $(PURE_OBJ:.o=.d) $(UNIT:=.d) $B/host/vitrine-config.d
