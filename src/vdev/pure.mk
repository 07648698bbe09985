# Every device model is pure.
PURE += $(wildcard src/vdev/*.c)

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
