// SPDX-License-Identifier: MIT
// A list of interceptions as text. What is taken is within what its kind allows and, printed, means
// the same; what is refused is named in one line of printable text.
#include <stdlib.h>
#include <string.h>

#include "intercept/intercept.h"

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_ranges(const struct intercept *i)
{
    check(i->what < INTERCEPT_WHATS && i->action < INTERCEPT_ACTIONS);
    check(i->first <= i->last && i->last < BIT(48) && (i->match & ~i->mask) == 0);
    check(i->values <= INTERCEPT_CR3_VALUES && (i->access & ~7u) == 0);
    switch (i->what) {
    case INTERCEPT_EXCEPTION:
        check(i->first == i->last && i->last < 32 && i->first != 2 && i->first != 18);
        check(i->mask <= UINT32_MAX);
        break;
    case INTERCEPT_PLE:
        check(i->first > 0 && i->first < i->last && i->last <= UINT32_MAX);
        break;
    case INTERCEPT_IO:
    case INTERCEPT_MSR:
        check(i->last <= (i->what == INTERCEPT_IO ? UINT16_MAX : UINT32_MAX));
        check(i->access >= 1 && i->access <= 3);
        break;
    case INTERCEPT_CR0:
    case INTERCEPT_CR4:
        check(i->mask != 0 && i->access == 0);
        break;
    case INTERCEPT_MEM:
        check(i->access != 0);
        break;
    case INTERCEPT_CR3:
        check(i->access >= 1 && i->access <= 3 && (i->values == 0 || i->access != INTERCEPT_READ));
        break;
    default:
        check(i->last == 0 && i->mask == 0 && i->values == 0 && i->access <= 3);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    const char *p = (const char *)data, *end = p + size;
    while (size > 0) {
        char why_text[256], printed[256];
        struct text why = TEXT(why_text), t = TEXT(printed);
        struct intercept i, again;
        why_text[0] = '\0';
        const char *before = p;
        if (intercept_parse(&p, &size, &i, &why) != OK) {
            check(p == before && why.len > 0 && strlen(why_text) == why.len);
            for (const char *c = why_text; *c != '\0'; c++)
                check((u8)*c >= ' ' && *c != 0x7f);
            return 0;
        }
        check(p > before && p + size == end && why.len == 0);
        check_ranges(&i);

        intercept_print(&i, true, &t);
        check(!t.cut);
        const char *text = printed;
        check(intercept_parse(&text, &t.len, &again, &why) == OK && t.len == 0);
        check(memcmp(&i, &again, sizeof(i)) == 0 && intercept_same(&i, &again));
    }
    return 0;
}
