// SPDX-License-Identifier: MIT
#include "boot/log.h"

#include "boot/serial.h"
#include "lib/format.h"
#include "lib/string.h"

static char ring[LOG_RING_SIZE];
static u64 ring_head; // bytes ever written
struct spinlock log_lock = {.breakable = true};

void (*log_sink)(const char *line, size_t n);
void (*log_changed)(void);
u64 (*log_clock)(void);
unsigned (*log_core)(void);

void log_line(const char *part, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    struct text t = {.buf = line, .size = sizeof(line) - 1};
    u64 us = log_clock != NULL ? log_clock() : 0;
    text_add(&t, "[%4lu.%06lu] core %u: %s: ", us / 1000000, us % 1000000,
             log_core != NULL ? log_core() : 0, part);

    va_list args;
    va_start(args, fmt);
    size_t wanted = str_vformat(line + t.len, t.size - t.len, fmt, args);
    va_end(args);
    t.len += MIN(wanted, t.size - t.len - 1);
    line[t.len++] = '\n';

    spin_lock(&log_lock);
    for (size_t i = 0; i < t.len; i++)
        ring[ring_head++ % LOG_RING_SIZE] = line[i];
    spin_unlock(&log_lock);

    if (log_sink != NULL) {
        log_sink(line, t.len);
    } else {
        line[t.len - 1] = '\r'; // in one piece: other cores write too
        line[t.len] = '\n';
        serial_write(&serial_console, line, t.len + 1, false);
    }
    if (log_changed != NULL)
        log_changed();
}

void log_take_over(void)
{
    log_lock = (struct spinlock){.breakable = true};
    log_sink = NULL;
    log_changed = NULL;
}

size_t log_read(u64 *position, u64 most, char *buf, size_t n)
{
    spin_lock(&log_lock);
    u64 have = MIN(MIN(ring_head - *position, most), (u64)LOG_RING_SIZE);
    u64 from = ring_head - have;
    n = MIN(n, have);
    size_t first = MIN(n, LOG_RING_SIZE - from % LOG_RING_SIZE);
    memcpy(buf, ring + from % LOG_RING_SIZE, first);
    memcpy(buf + first, ring, n - first);
    *position = from + n;
    spin_unlock(&log_lock);
    return n;
}

size_t log_tail(char *buf, size_t n)
{
    u64 position = 0;
    return log_read(&position, n, buf, n);
}
