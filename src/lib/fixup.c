// SPDX-License-Identifier: MIT
#include "lib/fixup.h"

static u64 address(const i32 *relative)
{
    return (u64)relative + (u64)(i64)*relative;
}

u64 fixup_landing(const struct fixup *from, const struct fixup *end, u64 rip)
{
    for (const struct fixup *f = from; f < end; f++) {
        if (address(&f->fault) == rip)
            return address(&f->landing);
    }
    return 0;
}
