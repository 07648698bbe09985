# Every device model is pure.
PURE += $(wildcard src/vdev/*.c)

# Called at frequent exits: see vcpu/pure.mk.
$(patsubst src/%.c,$B/obj/src/%.o,$(wildcard src/vdev/board_io.c src/vdev/bus.c)): \
    CFLAGS += -fomit-frame-pointer

# The DSDT: ASL to AML to the bytes of a C array.
GENERATED += $B/gen/dsdt.inc
$B/gen/dsdt.aml: src/vdev/acpi/dsdt.asl
	@mkdir -p $(@D)
	@$(call say,IASL    $<)
	@iasl -we -p $B/gen/dsdt $< > $B/gen/dsdt.log || { cat $B/gen/dsdt.log >&2; exit 1; }

$B/gen/dsdt.inc: $B/gen/dsdt.aml
	@od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g' > $@

$B/obj/src/vdev/acpi.o $B/host/src/vdev/acpi.o: $B/gen/dsdt.inc
$B/obj/src/vdev/acpi.o: CFLAGS += -I$B/gen
$B/host/src/vdev/acpi.o: HOST_CFLAGS += -I$B/gen
