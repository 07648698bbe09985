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

// buf NULL: zeroes. In pieces, so that nobody waits long for a watcher.
static enum error fill(const struct guest_memory *m, gpa_t gpa, const u8 *buf, u64 len)
{
    struct guest_write w;
    if (guest_ptr(m, gpa, len) == NULL)
        return ERR_FAULT;
    for (u64 at = 0; at < len; at += GUEST_WRITE_MOST) {
        u64 n = MIN(len - at, GUEST_WRITE_MOST);
        void *p = guest_write_begin(m, GPA(gpa.v + at), n, &w);
        if (p == NULL)
            return ERR_FAULT;
        if (buf != NULL)
            memcpy(p, buf + at, n);
        else
            memset(p, 0, n);
        guest_write_end(&w);
    }
    return OK;
}

enum error guest_write(const struct guest_memory *m, gpa_t gpa, const void *buf, u64 len)
{
    return fill(m, gpa, buf, len);
}

enum error guest_clear(const struct guest_memory *m, gpa_t gpa, u64 len)
{
    return fill(m, gpa, NULL, len);
}
