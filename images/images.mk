# SPDX-License-Identifier: MIT
# What guests are made of, included by the top Makefile. See images/README.md.
#
# A folder images/NAME that holds NAME.c is one of the project's own guests: build/images/NAME is
# what a Multiboot 1 loader takes, build/images/NAME.elf the same with DWARF, for gdb.

GUESTS  := $(sort $(foreach d,$(patsubst images/%/,%,$(wildcard images/*/)), \
               $(if $(wildcard images/$d/$d.c),$d)))
IMAGES  := $B/images/vmlinuz $B/images/initrd.gz $B/images/vmlinux.sym.elf \
           $(GUESTS:%=$B/images/%)

GUEST_CFLAGS := -std=gnu17 -O2 -g $(WARN) -Isrc -Iimages/runtime -ffreestanding \
                -fno-builtin-printf -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie \
                -fno-stack-protector -fcf-protection=none -fno-omit-frame-pointer \
                -fno-asynchronous-unwind-tables -fno-strict-aliasing -DDEBUG=0 \
                --param=min-pagesize=0 # physical address 0 and up is memory like any other
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
                 -Wl,-z,noexecstack

# hello is there to be debugged: its variables and calls stay as written.
$B/guest/images/hello/hello.o: GUEST_CFLAGS += -Og -fno-inline

RUNTIME_OBJ := $(patsubst %,$B/guest/%.o,$(basename $(sort $(wildcard images/runtime/*.c)))) \
               $(patsubst %,$B/guest/%.S.o,$(basename $(sort $(wildcard images/runtime/*.S)))) \
               $B/guest/src/lib/format.o $B/guest/src/lib/string.o

guest_obj = $(patsubst %.c,$B/guest/%.o,$(sort $(wildcard images/$1/*.c))) \
            $(patsubst %.S,$B/guest/%.S.o,$(sort $(wildcard images/$1/*.S)))

$B/guest/%.o: %.c Makefile images/images.mk
	@mkdir -p $(@D)
	@$(call say,GUESTCC $<)
	@$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$B/guest/%.S.o: %.S Makefile images/images.mk
	@mkdir -p $(@D)
	@$(call say,GUESTAS $<)
	@$(CC) $(GUEST_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

.SECONDEXPANSION:
$(GUESTS:%=$B/images/%.elf): $B/images/%.elf: $$(call guest_obj,$$*) $(RUNTIME_OBJ) \
                             images/runtime/guest.ld
	@mkdir -p $(@D)
	@$(call say,GUEST   $(@:.elf=))
	@$(CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -T images/runtime/guest.ld $(filter %.o,$^) -o $@

# Loaders of Multiboot 1 kernels take the 32-bit container only.
$(GUESTS:%=$B/images/%): $B/images/%: $B/images/%.elf
	@objcopy -O elf32-i386 --strip-all $< $@

.PHONY: guests
guests: $(GUESTS:%=$B/images/%) ## build the project's own guests

$B/images/vmlinuz $B/images/kernel.release &: images/debian-kernel images/debian-apt
	@images/debian-kernel $B/images

$B/images/initrd.gz: images/mkinitrd images/initrd/init images/initrd/guest-shell
	@mkdir -p $(@D)
	@$(call say,INITRD  $@)
	@$(PYTHON) images/mkinitrd $@

# A larger one, for tests: with a load from Debian, and programs of the project's own. Those in
# images/load are Linux programs, made by the machine's own compiler; the others are scripts.
LOAD_SOURCES := $(sort $(wildcard images/load/*))
LOAD_OWN     := $(patsubst images/load/%,$B/load/own/bin/%,$(basename $(LOAD_SOURCES)))

$B/load/own/bin/%: images/load/%.c images/images.mk
	@mkdir -p $(@D)
	@$(call say,LINUXCC $<)
	@$(HOSTCC) -std=gnu17 -O2 $(WARN) -pthread -static -s $< -o $@

$B/load/own/bin/%: images/load/%
	@mkdir -p $(@D)
	@install $< $@

$B/load/debian/bin/hackbench: images/debian-load images/debian-apt
	@images/debian-load $B/load/debian
	@touch $@

$B/images/load.gz: $B/images/initrd.gz $(LOAD_OWN) $B/load/debian/bin/hackbench
	@$(call say,INITRD  $@)
	@$(PYTHON) images/mkinitrd --tree $B/load/own --tree $B/load/debian $@

# Linux's symbols for gdb, from the tables that the kernel carries for its own backtraces.
$B/images/vmlinux.sym.elf: $B/images/vmlinuz $(wildcard images/kallsyms images/kallsyms_*.py)
	@$(call say,SYMBOLS $@)
	@$(PYTHON) images/kallsyms $< $@

# The same kernel as its build left it before it was packed; for tests.
$B/images/vmlinux: $B/images/vmlinuz $(wildcard images/kallsyms images/kallsyms_*.py)
	@$(call say,VMLINUX $@)
	@$(PYTHON) images/kallsyms --plain $< $@

-include $(wildcard $B/guest/images/*/*.d $B/guest/src/lib/*.d)
