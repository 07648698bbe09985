// SPDX-License-Identifier: MIT
#include "x86/guest_memory.h"

#include "lib/string.h"

enum error guest_read(const struct guest_memory *m, gpa_t gpa, void *buf, u64 len)
{
    const void *p = guest_ptr(m, gpa, len);
    if (p == NULL)
        return ERR_FAULT;
    memcpy(buf, p, len);
    return OK;
}

enum error guest_write(const struct guest_memory *m, gpa_t gpa, const void *buf, u64 len)
{
    void *p = guest_ptr(m, gpa, len);
    if (p == NULL)
        return ERR_FAULT;
    memcpy(p, buf, len);
    return OK;
}
