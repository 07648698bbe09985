// SPDX-License-Identifier: MIT
#include "vdev/debugport.h"

#include "lib/format.h"
#include "lib/string.h"

#define PRESENT 0xe9 // what a read answers, by which a guest finds out that there is one

// Longer than the note of what was lost.
#define ROOM_FOR_NOTE 64u

void debugport_init(struct debugport *d, bool (*transmit)(void *ctx, u8 byte), void *ctx)
{
    memset(d, 0, sizeof(*d));
    d->transmit = transmit;
    d->ctx = ctx;
}

u8 debugport_read(const struct debugport *d, u16 port)
{
    return port == POST_PORT ? d->post : PRESENT;
}

static void keep(struct debugport *d, u8 byte)
{
    d->text[d->head++ % DEBUG_TEXT_MAX] = byte;
}

void debugport_ready(struct debugport *d)
{
    while (d->tail != d->head && d->transmit(d->ctx, d->text[d->tail % DEBUG_TEXT_MAX]))
        d->tail++;
    if (d->lost == 0 || d->head - d->tail > DEBUG_TEXT_MAX - ROOM_FOR_NOTE)
        return;
    char note[ROOM_FOR_NOTE];
    str_format(note, sizeof(note), "\n[%u bytes to a debug port are lost]\n", d->lost);
    d->lost = 0;
    for (const char *p = note; *p != '\0'; p++)
        keep(d, (u8)*p);
    debugport_ready(d); // once: nothing is lost now
}

void debugport_write(struct debugport *d, u16 port, u8 value)
{
    if (port == POST_PORT) {
        d->post = value;
        d->post_given = true;
        return;
    }
    if (d->transmit == NULL || (d->tail == d->head && d->transmit(d->ctx, value)))
        return;
    if (d->lost > 0 || d->head - d->tail == DEBUG_TEXT_MAX)
        d->lost++;
    else
        keep(d, value);
}
