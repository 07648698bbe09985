// SPDX-License-Identifier: MIT
#include "gdbstub/search.h"

#include "gdbstub/memory.h"
#include "lib/crc32.h"
#include "lib/string.h"
#include "x86/bits.h"

#define SLICE 32 // pages

// ---- what is not there -------------------------------------------------------------------------

// How far it is from a linear address that has no translation to the next that may have one, bytes.
// 0: none has.
static u64 hole_in_linear(const struct search *s)
{
    struct walk_result walk;
    enum error error = translate(s->pid, &s->regs, s->at, &walk);
    if (error == ERR_INVALID) { // not canonical; or beyond the last
        u64 next = s->regs.cr4 & CR4_LA57 ? 0xff00000000000000 : 0xffff800000000000;
        return in_long_mode(&s->regs) && s->at < next ? next - s->at : 0;
    }
    if (error != OK && walk.count == 0)
        return 0; // not even the first table
    unsigned level = error != OK ? walk.entry[walk.count - 1].level : 1;
    u64 size = PAGE_SIZE << 9 * (level - 1); // no more than the entry stands for, in every mode
    return size - (s->at & (size - 1));
}

// The same of a guest-physical address that is not RAM.
static u64 hole_in_physical(const struct search *s)
{
    const struct guest_memory *m = target_memory(s->pid);
    for (unsigned i = 0; i < m->count; i++) {
        if (m->region[i].start.v > s->at)
            return m->region[i].start.v - s->at;
    }
    return 0;
}

// ---- a search ----------------------------------------------------------------------------------

// For each beginning of the pattern, the longest shorter one that it ends with: what is still
// matched when the next byte is another (Knuth, Morris and Pratt). So no memory makes a search
// slow.
static void learn_pattern(struct search *s)
{
    size_t matched = 0;
    s->shorter[0] = s->shorter[1] = 0;
    for (size_t n = 1; n < s->length; n++) {
        while (matched > 0 && s->pattern[n] != s->pattern[matched])
            matched = s->shorter[matched];
        matched += s->pattern[n] == s->pattern[matched];
        s->shorter[n + 1] = (u16)matched;
    }
}

#define EACH_BYTE 0x0101010101010101u

// The first of the bytes that is the pattern's first, 8 at a time; n: there is none.
static size_t find_first(const struct search *s, const u8 *bytes, size_t at, size_t n)
{
    for (; at + 8 <= n; at += 8) {
        u64 word;
        __builtin_memcpy(&word, bytes + at, sizeof(word));
        word ^= s->pattern[0] * EACH_BYTE;
        if ((word - EACH_BYTE) & ~word & (0x80 * EACH_BYTE)) // one of them is 0 now
            break;
    }
    while (at < n && bytes[at] != s->pattern[0])
        at++;
    return at;
}

// Goes on with the n bytes that come next. True: they complete the pattern, and *end is how many of
// them it took.
static bool match(struct search *s, const u8 *bytes, size_t n, size_t *end)
{
    for (size_t at = 0; at < n; at++) {
        if (s->matched == 0 && (at = find_first(s, bytes, at, n)) == n)
            return false;
        while (s->matched > 0 && bytes[at] != s->pattern[s->matched])
            s->matched = s->shorter[s->matched];
        s->matched += bytes[at] == s->pattern[s->matched];
        if (s->matched == s->length) {
            *end = at + 1;
            return true;
        }
    }
    return false;
}

// ---- in slices ---------------------------------------------------------------------------------

static void begin(struct session *session, const struct packet_args *a, enum search_kind kind)
{
    struct search *s = &session->search;
    u64 address = a->number[0], length = a->number[1];
    s->kind = kind;
    s->pid = a->pid;
    s->physical = session->client.physical;
    s->at = address;
    s->left = address != 0 ? MIN(length, 0 - address) : length; // memory ends with the last address
    s->matched = 0;
    s->crc = CRC32_BEGIN;
    vcpu_read_regs(a->vcpu, &s->regs);
    session->reply_later = true;
    target_kick_line_core();
}

void packet_search(struct session *session, const struct packet_args *a)
{
    struct search *s = &session->search;
    s->length = a->length;
    memcpy(s->pattern, a->bytes, a->length);
    if (s->length == 0) {
        reply_error(session, E_FORMAT, "nothing to search for");
        return;
    }
    learn_pattern(s);
    begin(session, a, SEARCH_PATTERN);
}

void packet_crc(struct session *session, const struct packet_args *a)
{
    begin(session, a, SEARCH_CRC);
}

void search_end(struct session *session)
{
    session->search.kind = SEARCH_NOTHING;
}

static void done(struct session *session)
{
    search_end(session);
    reply_send(session);
}

static void reply_found(struct session *session, u64 address)
{
    reply_start(session);
    text_add(&session->reply, "1,%lx", address);
    done(session);
}

// All was gone through: the pattern was not found, or the CRC is complete.
static void reply_at_end(struct session *session)
{
    struct search *s = &session->search;
    reply_start(session);
    if (s->kind == SEARCH_PATTERN)
        text_add(&session->reply, "0");
    else
        text_add(&session->reply, "C%x", s->crc);
    done(session);
}

// What is at s->at is not there. False: that was the end.
static bool pass_over(struct session *session)
{
    struct search *s = &session->search;
    if (s->kind == SEARCH_CRC) {
        reply_error(session, E_MEMORY, "no memory there, or not all of it");
        done(session);
        return false;
    }
    u64 hole = s->physical ? hole_in_physical(s) : hole_in_linear(s);
    if (hole == 0 || hole >= s->left) {
        reply_at_end(session);
        return false;
    }
    s->at += hole;
    s->left -= hole;
    s->matched = 0;
    return true;
}

// What is left of the page. False: that was the end.
static bool next_page(struct session *session)
{
    struct search *s = &session->search;
    u8 *bytes = session->memory;
    size_t end;
    u64 n = MIN(s->left, PAGE_SIZE - (s->at & (PAGE_SIZE - 1)));
    if (n == 0) {
        reply_at_end(session);
        return false;
    }
    if (gdb_read_memory(session, s->pid, s->physical ? NULL : &s->regs, s->at, bytes, n) != n)
        return pass_over(session);
    if (s->kind == SEARCH_CRC) {
        s->crc = crc32(s->crc, bytes, n);
    } else if (match(s, bytes, n, &end)) {
        reply_found(session, s->at + end - s->length);
        return false;
    }
    s->at += n;
    s->left -= n;
    return true;
}

void search_poll(struct session *session)
{
    if (session->search.kind == SEARCH_NOTHING)
        return;
    for (unsigned n = 0; n < SLICE; n++) {
        if (!next_page(session))
            return;
    }
    target_kick_line_core();
}
