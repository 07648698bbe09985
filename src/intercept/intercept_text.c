// SPDX-License-Identifier: MIT
// Items read from text.
#include "intercept/intercept_names.h"
#include "lib/string.h"

#define QUOTE(s) (int)MIN((s).len, (size_t)40), (s).p

#define MEM_END BIT(48) // of guest-physical addresses

// An item being read. A colon stands before each field.
struct item {
    const char *start, *p, *end; // p: what is read next
    struct piece part;           // what was read last, and what a message is about
    bool field;                  // part is a field that nothing has taken yet
    const char *noun;            // what part is, with a blank; or ""
    enum intercept_shape shape;
    struct intercept *i;
    struct text *why;
};

static bool is_one_of(char c, const char *set)
{
    while (*set != '\0' && *set != c)
        set++;
    return *set != '\0';
}

static bool is_next(const struct item *it, const char *set)
{
    return it->p < it->end && is_one_of(*it->p, set);
}

static bool eat(struct item *it, const char *set)
{
    bool found = is_next(it, set);
    it->p += found ? 1 : 0;
    return found;
}

static void next_part(struct item *it)
{
    it->part.p = it->p;
    while (it->p < it->end && !is_next(it, ":=,+- \t"))
        it->p++;
    it->part.len = (size_t)(it->p - it->part.p);
}

static void next_field(struct item *it)
{
    it->field = eat(it, ":");
    if (it->field)
        next_part(it);
}

// Says why the item is not taken: "noun 'part' reason" and the names of a list, if there is one.
static enum error wrong_name(struct item *it, const char *reason, const struct name_list *list)
{
    struct text *t = it->why;
    size_t start = t->len;
    while (it->p < it->end && !is_next(it, ", \t"))
        it->p++;
    struct piece whole = {it->start, (size_t)(it->p - it->start)};
    text_add(t, "'%.*s': %s'%.*s' %s", QUOTE(whole), it->noun, QUOTE(it->part), reason);
    const char *separator = "";
    for (unsigned n = 0; list != NULL && n < list->count; n++) {
        if (list->names[n] == NULL)
            continue;
        text_add(t, "%s%s", separator, list->names[n]);
        separator = ", ";
    }
    for (; start < t->len; start++) {
        if ((u8)t->buf[start] < ' ' || t->buf[start] == '\x7f')
            t->buf[start] = '?';
    }
    return ERR_INVALID;
}

static enum error wrong(struct item *it, const char *reason)
{
    return wrong_name(it, reason, NULL);
}

// There are too few fields, or too many, or they do not go together.
static enum error wrong_form(struct item *it)
{
    static const char *const forms[] = {
        [SHAPE_PLAIN] = "goes with an action alone",
        [SHAPE_PLE] = "goes with :GAP:WINDOW, in ticks, 0 < GAP < WINDOW",
        [SHAPE_EXCEPTION] = "goes with :VECTOR[:MASK:MATCH]",
        [SHAPE_BITS] = "goes with [:BIT,BIT...][:w]",
        [SHAPE_RANGE] = "goes with [:FIRST[-LAST]][:r|w|rw]",
        [SHAPE_ACCESS] = "goes with [:r|w|rw]",
        [SHAPE_CR3] = "goes with [:except:VALUE+VALUE...][:r|w|rw], 4 values and no r alone",
        [SHAPE_MEM] = "goes with :GPA+LENGTH[:rwx], LENGTH from 1, the end up to 2^48",
    };
    it->noun = "";
    const char *name = nth_name(&intercept_whats, it->i->what);
    it->part = (struct piece){name, strlen(name)};
    return wrong(it, forms[it->shape]);
}

// The letters of an access as bits; 0: it is none.
static u8 access_of(struct piece s)
{
    unsigned access = 0;
    for (size_t n = 0; n < s.len; n++) {
        unsigned bit = is_one_of(s.p[n], "rR")   ? INTERCEPT_READ
                       : is_one_of(s.p[n], "wW") ? INTERCEPT_WRITE
                       : is_one_of(s.p[n], "xX") ? INTERCEPT_EXECUTE
                                                 : 0;
        if (bit == 0 || (access & bit) != 0)
            return 0;
        access |= bit;
    }
    return (u8)access;
}

static bool number_to(const struct item *it, u64 max, u64 *value)
{
    return str_number(it->part.p, it->part.len, value) && *value <= max;
}

static enum error read_number(struct item *it, u64 max, u64 *value)
{
    return number_to(it, max, value) ? OK : wrong(it, "is not a number in range");
}

static enum error read_bound(struct item *it, u64 *value)
{
    bool msr = it->i->what == INTERCEPT_MSR;
    if ((msr && msr_find(it->part, value)) ||
        number_to(it, intercept_range_end(it->i->what), value))
        return OK;
    return wrong(it, msr ? "is neither an MSR's number nor a name that is known here"
                         : "is not a port, a number up to 0xffff");
}

static enum error read_range(struct item *it)
{
    struct intercept *i = it->i;
    i->last = intercept_range_end(i->what);
    if (!it->field || access_of(it->part) != 0)
        return OK;
    if (read_bound(it, &i->first) != OK)
        return ERR_INVALID;
    if (eat(it, "-"))
        next_part(it);
    if (read_bound(it, &i->last) != OK)
        return ERR_INVALID;
    if (i->first > i->last)
        return wrong(it, "is below the first; expected FIRST-LAST");
    next_field(it);
    return OK;
}

// The comma behind a bit is one of the list if the name of another bit follows without a blank.
static bool next_bit(struct item *it, const struct name_list *bits)
{
    struct item before = *it;
    if (eat(it, ",")) {
        next_part(it);
        if (name_find(bits, it->part) >= 0)
            return true;
    }
    *it = before;
    return false;
}

static enum error read_bits(struct item *it)
{
    const struct name_list *bits = intercept_bits(it->i->what);
    it->i->mask = UINT64_MAX;
    if (!it->field || access_of(it->part) != 0)
        return OK;
    it->i->mask = 0;
    do {
        int bit = name_find(bits, it->part);
        u64 mask = bit >= 0 ? BIT(bit) : 0;
        if (bit < 0 && (!number_to(it, UINT64_MAX, &mask) || mask == 0))
            return wrong_name(it, "is neither a mask, a number, nor one of ", bits);
        it->i->mask |= mask;
    } while (next_bit(it, bits));
    next_field(it);
    return OK;
}

// Two numbers of 32 bits, one behind the other.
static enum error read_two(struct item *it, u64 *a, u64 *b)
{
    for (unsigned n = 0; n < 2; n++) {
        if (!it->field)
            return wrong_form(it);
        if (read_number(it, UINT32_MAX, n == 0 ? a : b) != OK)
            return ERR_INVALID;
        next_field(it);
    }
    return OK;
}

static enum error read_exception(struct item *it)
{
    const u64 with_code = BIT(8) | 0x1f * BIT(10) | BIT(17) | BIT(21); // SDM Table 6-1
    struct intercept *i = it->i;
    if (!it->field)
        return wrong_form(it);
    int vector = name_find(&intercept_exceptions, it->part);
    i->first = (u64)vector;
    if (vector < 0 && !number_to(it, 31, &i->first))
        return wrong_name(it, "is neither a number up to 31 nor one of ", &intercept_exceptions);
    if (i->first == 2 || i->first == 18)
        return wrong(it, "is an NMI or #MC, the host's own; expected another vector");
    i->last = i->first;
    next_field(it);
    if (!it->field)
        return OK;
    if ((with_code >> i->first & 1) == 0)
        return wrong(it, "goes with vectors that have an error code: 8, 10-14, 17, 21");
    if (read_two(it, &i->mask, &i->match) != OK)
        return ERR_INVALID;
    return (i->match & ~i->mask) == 0
               ? OK
               : wrong(it, "never matches; expected MATCH to lie within MASK");
}

static enum error read_memory(struct item *it)
{
    u64 bytes, shift = 0;
    if (!it->field || !is_next(it, "+"))
        return wrong_form(it);
    if (read_number(it, MEM_END - 1, &it->i->first) != OK)
        return ERR_INVALID;
    eat(it, "+");
    next_part(it);
    if (it->part.len > 0) {
        char suffix = it->part.p[it->part.len - 1];
        shift = is_one_of(suffix, "kK") ? 10 : is_one_of(suffix, "mM") ? 20 : 0;
        shift = is_one_of(suffix, "gG") ? 30 : shift;
        it->part.len -= shift == 0 ? 0 : 1;
    }
    if (read_number(it, MEM_END >> shift, &bytes) != OK)
        return ERR_INVALID;
    it->i->last = it->i->first + (bytes << shift) - 1;
    if (bytes == 0 || it->i->last >= MEM_END)
        return wrong_form(it);
    next_field(it);
    return OK;
}

static enum error read_access(struct item *it)
{
    u8 access = access_of(it->part);
    if (!it->field || it->shape < SHAPE_BITS || it->i->access != 0)
        return OK;
    it->noun = "access ";
    if (it->shape == SHAPE_BITS) {
        if ((access & INTERCEPT_READ) != 0)
            return wrong(it, "reads, and reads of CR0 and CR4 cannot exit in VMX; expected w");
        if (access != INTERCEPT_WRITE)
            return wrong(it, "is not w");
        access = 0; // there is only one
    } else if (it->shape == SHAPE_MEM) {
        if (access == 0)
            return wrong(it, "is not made of r, w, x");
    } else if (access == 0 || (access & INTERCEPT_EXECUTE) != 0) {
        return wrong(it, "is not one of r, w, rw");
    }
    it->noun = "";
    it->i->access = access;
    next_field(it);
    return OK;
}

static enum error read_cr3(struct item *it)
{
    struct intercept *i = it->i;
    if (!piece_is(it->part, "except") && read_access(it) != OK)
        return ERR_INVALID;
    if (!it->field || !piece_is(it->part, "except"))
        return OK;
    next_field(it);
    if (!it->field)
        return wrong_form(it);
    do {
        u64 value;
        unsigned n = i->values;
        if (n == INTERCEPT_CR3_VALUES)
            return wrong_form(it);
        if (n > 0)
            next_part(it);
        if (read_number(it, UINT64_MAX, &value) != OK)
            return ERR_INVALID;
        for (; n > 0 && i->value[n - 1] > value; n--) // in order, for intercept_same
            i->value[n] = i->value[n - 1];
        i->value[n] = value;
        i->values++;
    } while (eat(it, "+"));
    next_field(it);
    enum error e = read_access(it);
    return e == OK && i->access == INTERCEPT_READ ? wrong_form(it) : e;
}

static enum error read_selector(struct item *it)
{
    struct intercept *i = it->i;
    switch (it->shape) {
    case SHAPE_PLE:
        if (read_two(it, &i->first, &i->last) != OK)
            return ERR_INVALID;
        return i->first > 0 && i->first < i->last ? OK : wrong_form(it);
    case SHAPE_EXCEPTION:
        return read_exception(it);
    case SHAPE_BITS:
        return read_bits(it);
    case SHAPE_RANGE:
        return read_range(it);
    case SHAPE_CR3:
        return read_cr3(it);
    case SHAPE_MEM:
        return read_memory(it);
    default:
        return OK;
    }
}

// What is caught is to be denied or ignored, and cannot: for this reason.
static enum error impossible(struct item *it, const char *reason)
{
    enum error e = wrong(it, "is not possible: ");
    return explain(it->why, e, "%s; expected count, log, stop or pass", reason);
}

// Whether what is caught can be denied or ignored.
static enum error check_action(struct item *it)
{
    const struct intercept *i = it->i;
    if (i->what == INTERCEPT_EXTINT)
        return impossible(it, "an interrupt is not the guest's instruction");
    if (i->what == INTERCEPT_PLE)
        return impossible(it, "a loop has nothing to deny or ignore");
    if (i->what == INTERCEPT_EXCEPTION && i->action == INTERCEPT_DENY)
        return impossible(it, "an exception is the denial");
    if (i->what == INTERCEPT_EXCEPTION && i->first != 1 && i->first != 3 && i->first != 4)
        return impossible(it, "all but db, bp and of would come again at once");
    if (i->action == INTERCEPT_IGNORE && (i->access & INTERCEPT_EXECUTE) != 0)
        return impossible(it, "a fetch can only be denied");
    return OK;
}

static enum error read_action(struct item *it)
{
    struct intercept *i = it->i;
    next_part(it);
    it->noun = "action ";
    while (!piece_is(it->part, intercept_action_name((enum intercept_action)i->action))) {
        if (++i->action == INTERCEPT_ACTIONS)
            return wrong(it, "is not one of count, log, stop, deny, ignore, pass");
    }
    if (i->action != INTERCEPT_DENY && i->action != INTERCEPT_IGNORE)
        return OK;
    return check_action(it);
}

static enum error read_item(struct item *it)
{
    next_part(it);
    int what = name_find(&intercept_whats, it->part);
    if (what >= 0) {
        next_field(it);
    } else if (name_find(&intercept_exceptions, it->part) >= 0) {
        what = INTERCEPT_EXCEPTION;
        it->field = true;
    } else {
        return wrong_name(it, "is not one of ", &intercept_whats);
    }
    it->i->what = (u8)what;
    it->shape = intercept_shape(it->i->what);
    if (read_selector(it) != OK || read_access(it) != OK)
        return ERR_INVALID;
    if (it->field)
        return wrong_form(it);
    if (it->i->access == 0)
        it->i->access = intercept_usual_access(it->shape);
    return eat(it, "=") ? read_action(it) : OK;
}

static void skip_blanks(struct item *it)
{
    while (eat(it, " \t")) {
    }
}

enum error intercept_parse(const char **text, size_t *len, struct intercept *i, struct text *why)
{
    struct item it = {.p = *text, .end = *text + *len, .noun = "", .i = i, .why = why};
    memset(i, 0, sizeof(*i));
    skip_blanks(&it);
    it.start = it.p;
    if (read_item(&it) != OK)
        return ERR_INVALID;
    it.noun = "";
    skip_blanks(&it);
    if (it.p < it.end) {
        it.part = (struct piece){it.p, 1};
        if (!eat(&it, ","))
            return wrong(&it, "stands where a comma is expected");
        skip_blanks(&it);
        if (it.p == it.end)
            return wrong(&it, "is the end; expected an item behind");
    }
    *text = it.p;
    *len = (size_t)(it.end - it.p);
    return OK;
}
