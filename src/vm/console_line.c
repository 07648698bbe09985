// SPDX-License-Identifier: MIT
// What the console's line carries. The lock is held.
#include "lib/string.h"
#include "vm/console_backlog.h"
#include "vm/console_internal.h"

static struct console_backlog backlog;

bool console_has_room(size_t n, u32 share)
{
    return console.finishing || ring_used(&serial_console.tx) + n + ROOM_TO_END <= share;
}

static void put(const char *text, size_t n)
{
    serial_write(&serial_console, text, n, console.finishing);
}

void console_put(const char *text)
{
    put(text, strlen(text));
}

// ---- all VMs -----------------------------------------------------------------------------------

static void put_line(const struct console_vm *c)
{
    console_put(c->name);
    put("| ", 2);
    put(c->line, c->len);
}

void console_leave_line(void)
{
    if (console.unfinished == NULL)
        return;
    if (console.unfinished->text.coloured)
        console_put("\x1b[m");
    put("\\\r\n", 3);
    console.unfinished = NULL;
}

static void show_partial(struct console_vm *c)
{
    if (!console_has_room(strlen(c->name) + c->len, GUESTS_SHARE))
        return;
    if (console.unfinished == c) {
        put(c->line + c->shown, c->len - c->shown);
    } else {
        console_leave_line();
        put_line(c);
        console.unfinished = c;
    }
    c->shown = c->len;
}

static void line_out(struct console_vm *c)
{
    if (console.unfinished == c) {
        put(c->line + c->shown, c->len - c->shown);
        console.unfinished = NULL;
    } else {
        console_leave_line();
        put_line(c);
    }
    put("\r\n", 2);
}

void console_end_line(struct console_vm *c, u32 share)
{
    c->complete = console.mode == KEY_ALL && !console_has_room(strlen(c->name) + c->len, share);
    if (c->complete)
        return;
    if (console.mode == KEY_ALL)
        line_out(c);
    else if (console.mode == KEY_ALONE && c != console.alone)
        console_backlog_add(&backlog, c->name, c->line, c->len);
    c->len = c->shown = 0;
}

void console_finish_line(struct console_vm *c, u32 share)
{
    c->len += console_text_end(&c->text, c->line + c->len);
    console_end_line(c, share);
}

void console_add_to_line(struct console_vm *c, u8 byte)
{
    if (c->complete)
        console_end_line(c, GUESTS_SHARE);
    if (!c->complete && console_text_is_full(&c->text, c->len, byte)) {
        c->len += console_text_cut(&c->text, c->line + c->len);
        console_end_line(c, GUESTS_SHARE);
    }
    if (c->complete) {
        console.lost++;
    } else if (byte == '\n') {
        console_finish_line(c, GUESTS_SHARE);
    } else {
        c->len += console_text_byte(&c->text, byte, c->line + c->len);
        if (console.unfinished == c)
            show_partial(c);
    }
}

void console_log_line(const char *line, size_t n)
{
    if (console.mode == KEY_ALONE) {
        console_backlog_add(&backlog, NULL, line, (unsigned)n);
    } else if (console_has_room(n, SERIAL_TX_SIZE)) {
        console_leave_line();
        put(line, n);
        put("\r\n", 2);
    } else {
        console.lost++;
    }
}

unsigned console_show_backlog(void)
{
    char byte;
    while (console_backlog_take(&backlog, &byte)) {
        if (byte == '\n')
            put("\r", 1);
        put(&byte, 1);
    }
    unsigned dropped = backlog.dropped;
    backlog.dropped = 0;
    return dropped;
}

// ---- the bytes as they are ---------------------------------------------------------------------

bool console_is_streamed(const struct console_vm *c)
{
    return console.mode == KEY_SPLIT || (console.mode == KEY_ALONE && c == console.alone);
}

static void stream_alone(struct console_vm *c)
{
    struct console_history *h = &c->history;
    while (h->sent < h->head && console_has_room(1, GUESTS_SHARE)) {
        unsigned query = h->sent < c->fresh ? history_query(h, h->sent) : 0;
        if (query == 0)
            put((const char *)&h->bytes[h->sent & (HISTORY_SIZE - 1)], 1);
        h->sent += MAX(query, 1u);
    }
}

static void stream_chunks(struct console_vm *c, bool pause)
{
    struct console_history *h = &c->history;
    struct chunk chunk;
    while (console_has_room(strlen(c->name) + CHUNK_MOST, GUESTS_SHARE)) {
        bool again = h->sent < c->fresh;
        if (!history_chunk(h, again ? c->fresh : h->head, again || pause, &chunk))
            break;
        console_put(c->name);
        put(again ? ": " : "| ", 2);
        put(chunk.text, chunk.len);
        console_put(chunk.ended ? "\r\n" : "\\\r\n");
        h->sent = chunk.end;
    }
}

void console_stream(struct console_vm *c, bool pause)
{
    if (console.mode == KEY_SPLIT)
        stream_chunks(c, pause);
    else
        stream_alone(c);
}

// ---- pauses ------------------------------------------------------------------------------------

// Of those that are shown among others, the VM with the keyboard shows what it waits with.
static bool partial_waits(const struct console_vm *c)
{
    return console.mode == KEY_ALL && c == console.focus && c->len > c->shown;
}

bool console_pause_matters(const struct console_vm *c)
{
    return console_is_streamed(c) ? history_unsent(&c->history) > 0 : partial_waits(c);
}

void console_paused(struct console_vm *c)
{
    if (console_is_streamed(c))
        console_stream(c, true);
    else if (partial_waits(c))
        show_partial(c);
}
