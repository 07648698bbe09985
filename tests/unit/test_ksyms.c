// SPDX-License-Identifier: MIT
// boot/ksyms.c on the table that the appliance carries, against what nm says about the appliance.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/ksyms.h"

static struct symbol {
    u64 at; // bytes into the image
    char name[64];
} symbols[4096];
static unsigned symbol_count;

// Text symbols, by address; of two at one place the later, by name.
static int read_symbols(void **state)
{
    (void)state;
    char line[160];
    char kind;
    u64 start = 0;
    FILE *nm = popen("exec nm -n build/vitrine.elf", "r"); // NOLINT(cert-env33-c)
    assert_non_null(nm);
    while (fgets(line, sizeof(line), nm) != NULL && symbol_count < ARRAY_SIZE(symbols)) {
        struct symbol *s = &symbols[symbol_count];
        if (sscanf(line, "%" SCNx64 " %c %63s", &s->at, &kind, s->name) != 3 ||
            (kind != 't' && kind != 'T'))
            continue;
        if (symbol_count == 0)
            start = s->at;
        s->at -= start;
        if (symbol_count > 0 && s[-1].at == s->at)
            s[-1] = *s;
        else
            symbol_count++;
    }
    return pclose(nm);
}

static void every_symbol_is_found_from_its_first_byte_to_its_last(void **state)
{
    (void)state;
    assert_true(symbol_count > 500 && symbol_count < ARRAY_SIZE(symbols));
    char name[64];
    u64 offset;
    for (unsigned i = 0; i < symbol_count; i++) {
        const struct symbol *s = &symbols[i];
        assert_true(ksyms_find(s->at, name, sizeof(name), &offset));
        assert_string_equal(name, s->name);
        assert_int_equal(offset, 0);
        u64 last = i + 1 < symbol_count ? s[1].at - 1 : s->at + 100;
        assert_true(ksyms_find(last, name, sizeof(name), &offset));
        assert_string_equal(name, s->name);
        assert_int_equal(offset, last - s->at);
    }
}

static void a_name_is_cut_to_its_place(void **state)
{
    (void)state;
    char name[8] = "xxxxxxx";
    u64 offset;
    for (unsigned i = 0; i < symbol_count; i++) {
        assert_true(ksyms_find(symbols[i].at, name, 5, &offset));
        assert_true(strlen(name) <= 4 && strncmp(name, symbols[i].name, 4) == 0);
        assert_int_equal(name[5], 'x');
    }
    assert_false(ksyms_find(0, name, 0, &offset));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_symbol_is_found_from_its_first_byte_to_its_last),
        cmocka_unit_test(a_name_is_cut_to_its_place),
    };
    return cmocka_run_group_tests(tests, read_symbols, NULL);
}
