// SPDX-License-Identifier: MIT
// ACPI tables and SMBIOS as a guest finds them; iasl takes each table apart without a complaint.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdev/acpi.h"

static u8 ram[MiB];
static struct guest_memory memory = {.region = {{GPA(0), MiB, ram}}, .count = 1};

static u32 get32(const void *p)
{
    u32 v;
    memcpy(&v, p, 4);
    return v;
}

static u64 get64(const void *p)
{
    u64 v;
    memcpy(&v, p, 8);
    return v;
}

static void build(unsigned vcpus)
{
    memset(ram, 0, sizeof(ram));
    assert_int_equal(acpi_build(&(struct acpi_config){.vcpus = vcpus}, &memory), OK);
}

static const u8 *scan(const char *signature, size_t n, u64 from)
{
    for (u64 gpa = from; gpa < MiB; gpa += 16) {
        if (memcmp(ram + gpa, signature, n) == 0)
            return ram + gpa;
    }
    fail_msg("%s is not there", signature);
    return NULL;
}

static const u8 *table(u64 gpa, const char *signature)
{
    assert_in_range(gpa, ACPI_RSDP, ACPI_END - 36);
    const u8 *t = ram + gpa;
    assert_memory_equal(t, signature, 4);
    assert_in_range(gpa + get32(t + 4), gpa, ACPI_END);
    assert_int_equal(table_checksum(t, get32(t + 4)), 0);
    return t;
}

// Writes the table to a file and lets iasl take it apart.
static void disassemble(const u8 *t)
{
    char dir[] = "/tmp/acpi-XXXXXX", path[64], command[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/%.4s", dir, (const char *)t);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(t, 1, get32(t + 4), f), get32(t + 4));
    fclose(f);
    snprintf(command, sizeof(command),
             "cd %s && iasl -d %.4s > log 2>&1 && ! grep -iE 'error|warning|invalid' log %.4s.dsl",
             dir, (const char *)t, (const char *)t);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void the_tables_lead_to_each_other_and_sum_to_zero(void **state)
{
    (void)state;
    build(4);
    const u8 *rsdp = scan("RSD PTR ", 8, 0xe0000);
    assert_ptr_equal(rsdp, ram + ACPI_RSDP);
    assert_int_equal(table_checksum(rsdp, 20), 0);
    assert_int_equal(table_checksum(rsdp, 36), 0);
    assert_int_equal(rsdp[15], 2);

    const u8 *rsdt = table(get32(rsdp + 16), "RSDT"), *xsdt = table(get64(rsdp + 24), "XSDT");
    assert_int_equal(get32(rsdt + 4), 44);
    assert_int_equal(get32(xsdt + 4), 52);
    assert_int_equal(get32(rsdt + 36), get64(xsdt + 36));
    assert_int_equal(get32(rsdt + 40), get64(xsdt + 44));

    const u8 *fadt = table(get64(xsdt + 36), "FACP");
    assert_int_equal(fadt[8], 5);
    const u8 *dsdt = table(get64(fadt + 140), "DSDT");
    assert_int_equal(get32(fadt + 40), get64(fadt + 140));
    u32 facs = get32(fadt + 36);
    assert_int_equal(facs % 64, 0);
    assert_memory_equal(ram + facs, "FACS", 4);
    assert_int_equal(get32(ram + facs + 4), 64);
    assert_int_equal(get32(fadt + 56), 0x600); // PM1a event
    assert_int_equal(get32(fadt + 64), 0x604); // PM1a control
    assert_int_equal(get32(fadt + 76), 0x608); // PM timer
    assert_int_equal(fadt[46], 9);             // SCI
    assert_int_equal(get64(fadt + 120), 0xcf9);
    assert_int_equal(fadt[128], 6);
    assert_int_equal(fadt[109] | fadt[110] << 8, 0x07); // legacy devices, 8042, no VGA
    assert_int_equal(get32(fadt + 112), 0x535);
    assert_int_equal(get64(fadt + 132), facs);

    disassemble(rsdt);
    disassemble(xsdt);
    disassemble(fadt);
    disassemble(dsdt);
    disassemble(table(get64(xsdt + 44), "APIC"));
}

// A3: the number in Name (UART, n), which the UARTs' _STA look at.
static void the_dsdt_has_the_uarts_that_there_are(void **state)
{
    (void)state;
    for (u8 wanted = 0; wanted < 16; wanted++) {
        memset(ram, 0, sizeof(ram));
        struct acpi_config c = {.vcpus = 1, .uarts = wanted};
        assert_int_equal(acpi_build(&c, &memory), OK);
        const u8 *xsdt = table(get64(ram + ACPI_RSDP + 24), "XSDT");
        const u8 *dsdt = table(get64(table(get64(xsdt + 36), "FACP") + 140), "DSDT");
        const u8 *end = dsdt + get32(dsdt + 4), *at = dsdt;
        while (at + 7 <= end && memcmp(at, "\x08UART\x0a", 6) != 0)
            at++;
        assert_true(at + 7 <= end);
        assert_int_equal(at[6], wanted | 3);
    }
}

struct madt_seen {
    unsigned processors, x2apics, ioapics, overrides, nmis;
};

static struct madt_seen walk_madt(void)
{
    struct madt_seen seen = {0};
    const u8 *xsdt = table(get64(ram + ACPI_RSDP + 24), "XSDT");
    const u8 *madt = table(get64(xsdt + 44), "APIC"), *end = madt + get32(madt + 4);
    assert_int_equal(get32(madt + 36), 0xfee00000);
    const u8 *e = madt + 44;
    for (; e < end; e += e[1]) {
        assert_true(e[1] >= 6 && e + e[1] <= end);
        if (e[0] == 0) {
            assert_int_equal(e[3], seen.processors++);
            assert_int_equal(get32(e + 4), 1);
        } else if (e[0] == 9) {
            assert_int_equal(get32(e + 4), seen.processors + seen.x2apics++);
            assert_int_equal(get32(e + 8), 1);
        } else if (e[0] == 1) {
            assert_int_equal(get32(e + 4), 0xfec00000);
            seen.ioapics++;
        } else if (e[0] == 2) {
            assert_int_equal(get32(e + 4), e[3] == 0 ? 2 : 9);
            assert_int_equal(e[8], e[3] == 0 ? 0 : 0x0d);
            seen.overrides++;
        } else {
            assert_int_equal(e[0] == 4 ? e[5] : e[8], 1); // LINT1
            seen.nmis++;
        }
    }
    assert_ptr_equal(e, end);
    return seen;
}

static void each_vcpu_has_its_processor_entry(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 255; n += 1 + n / 2) {
        build(n);
        struct madt_seen seen = walk_madt();
        assert_int_equal(seen.processors, n);
        assert_int_equal(seen.ioapics, 1);
        assert_int_equal(seen.overrides, 2);
        assert_int_equal(seen.nmis, 1);
    }
    build(ACPI_MAX_VCPUS);
    struct madt_seen seen = walk_madt();
    assert_int_equal(seen.processors, 255);
    assert_int_equal(seen.x2apics, ACPI_MAX_VCPUS - 255);
    assert_int_equal(seen.nmis, 2);
}

static void without_room_or_vcpus_nothing_is_built(void **state)
{
    (void)state;
    struct guest_memory small = {.region = {{GPA(0), 0xe0400, ram}}, .count = 1}, none = {0};
    struct acpi_config one = {.vcpus = 1}, zero = {0}, many = {.vcpus = ACPI_MAX_VCPUS + 1};
    assert_int_equal(acpi_build(&zero, &memory), ERR_INVALID);
    assert_int_equal(acpi_build(&many, &memory), ERR_INVALID);
    assert_int_equal(acpi_build(&one, &small), ERR_FAULT);
    assert_int_equal(acpi_build(&one, &none), ERR_FAULT);
    assert_int_equal(smbios_build(&small), ERR_FAULT);
}

static void smbios_structures_end_where_the_entry_point_says(void **state)
{
    (void)state;
    memset(ram, 0, sizeof(ram));
    assert_int_equal(smbios_build(&memory), OK);
    const u8 *e = scan("_SM_", 4, 0xf0000);
    assert_int_equal(table_checksum(e, e[5]), 0);
    assert_memory_equal(e + 16, "_DMI_", 5);
    assert_int_equal(table_checksum(e + 16, 15), 0);
    const u8 *s = ram + get32(e + 24), *end = s + (e[22] | e[23] << 8);
    unsigned count = 0, largest = 0;
    u8 type = 0;
    while (s < end) {
        const u8 *from = s;
        type = s[0];
        if (type == 0) {
            const char *version = (const char *)s + s[1] + strlen((const char *)s + s[1]) + 1;
            assert_string_equal(version, "1.0");
            assert_string_equal(version + 4, "01/01/2024");
        }
        s += s[1];
        while (s[0] != 0 || s[1] != 0)
            s++;
        s += 2;
        count++;
        largest = MAX(largest, (unsigned)(s - from));
    }
    assert_ptr_equal(s, end);
    assert_int_equal(type, 127);
    assert_int_equal(count, e[28] | e[29] << 8);
    assert_int_equal(largest, e[8] | e[9] << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_lead_to_each_other_and_sum_to_zero),
        cmocka_unit_test(the_dsdt_has_the_uarts_that_there_are),
        cmocka_unit_test(each_vcpu_has_its_processor_entry),
        cmocka_unit_test(without_room_or_vcpus_nothing_is_built),
        cmocka_unit_test(smbios_structures_end_where_the_entry_point_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
