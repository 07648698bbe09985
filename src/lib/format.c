// SPDX-License-Identifier: MIT
#include "lib/format.h"

#include "lib/string.h"

struct spec {
    bool left, zero;
    int width;
    int precision; // -1: none given
    int longs;     // number of 'l'; 'z' counts as one
};

static void put(struct text *t, char c)
{
    if (t->len + 1 < t->size)
        t->buf[t->len] = c;
    t->len++;
}

static void put_padded(struct text *t, const struct spec *s, const char *sign, const char *body,
                       size_t n, size_t zeros)
{
    size_t total = strlen(sign) + n + zeros;
    size_t width = s->width > 0 ? (size_t)s->width : 0;
    for (size_t i = total; !s->left && i < width; i++)
        put(t, ' ');
    while (*sign != '\0')
        put(t, *sign++);
    while (zeros-- > 0)
        put(t, '0');
    for (size_t i = 0; i < n; i++)
        put(t, body[i]);
    for (size_t i = total; s->left && i < width; i++)
        put(t, ' ');
}

static void put_number(struct text *t, const struct spec *s, u64 value, bool negative,
                       unsigned base, bool upper)
{
    char digits[24];
    size_t n = sizeof(digits);
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t zeros = 0;

    do {
        digits[--n] = set[value % base];
        value /= base;
    } while (value != 0);

    size_t len = sizeof(digits) - n;
    if (s->precision >= 0) {
        if (len < (size_t)s->precision)
            zeros = (size_t)s->precision - len;
    } else if (s->zero && !s->left && s->width > 0) {
        size_t used = len + (negative ? 1 : 0);
        if (used < (size_t)s->width)
            zeros = (size_t)s->width - used;
    }
    put_padded(t, s, negative ? "-" : "", digits + n, len, zeros);
}

static u64 next_unsigned(va_list *args, int longs)
{
    return longs > 0 ? va_arg(*args, u64) : va_arg(*args, unsigned);
}

static i64 next_signed(va_list *args, int longs)
{
    return longs > 0 ? va_arg(*args, i64) : va_arg(*args, int);
}

static const char *parse_spec(const char *f, struct spec *s, va_list *args)
{
    *s = (struct spec){.precision = -1};
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else
            break;
    }
    if (*f == '*') {
        s->width = va_arg(*args, int);
        f++;
    }
    while (*f >= '0' && *f <= '9')
        s->width = s->width * 10 + (*f++ - '0');
    if (*f == '.') {
        f++;
        s->precision = 0;
        if (*f == '*') {
            s->precision = va_arg(*args, int);
            f++;
        }
        while (*f >= '0' && *f <= '9')
            s->precision = s->precision * 10 + (*f++ - '0');
    }
    while (*f == 'l' || *f == 'z' || *f == 'h') {
        if (*f != 'h')
            s->longs++;
        f++;
    }
    return f;
}

static void put_conversion(struct text *t, char c, const struct spec *s, va_list *args)
{
    switch (c) {
    case 'd':
    case 'i': {
        i64 v = next_signed(args, s->longs);
        put_number(t, s, v < 0 ? 0 - (u64)v : (u64)v, v < 0, 10, false);
        break;
    }
    case 'u':
        put_number(t, s, next_unsigned(args, s->longs), false, 10, false);
        break;
    case 'x':
    case 'X':
        put_number(t, s, next_unsigned(args, s->longs), false, 16, c == 'X');
        break;
    case 'p': {
        struct spec p = {.precision = 16};
        put_number(t, &p, (u64)(uintptr_t)va_arg(*args, void *), false, 16, false);
        break;
    }
    case 'c': {
        char ch = (char)va_arg(*args, int);
        put_padded(t, s, "", &ch, 1, 0);
        break;
    }
    case 's': {
        const char *str = va_arg(*args, const char *);
        if (str == NULL)
            str = "(null)";
        put_padded(t, s, "", str, strnlen(str, s->precision >= 0 ? (size_t)s->precision : SIZE_MAX),
                   0);
        break;
    }
    default:
        put(t, c);
    }
}

static void vadd(struct text *t, const char *fmt, va_list *args)
{
    for (const char *f = fmt; *f != '\0'; f++) {
        if (*f != '%') {
            put(t, *f);
            continue;
        }
        struct spec s;
        f = parse_spec(f + 1, &s, args);
        if (*f == '\0')
            break;
        put_conversion(t, *f, &s, args);
    }
    if (t->size > 0)
        t->buf[MIN(t->len, t->size - 1)] = '\0';
}

size_t str_vformat(char *buf, size_t size, const char *fmt, va_list args)
{
    struct text t = {.buf = buf, .size = size};
    va_list copy;
    va_copy(copy, args);
    vadd(&t, fmt, &copy);
    va_end(copy);
    return t.len;
}

size_t str_format(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = str_vformat(buf, size, fmt, args);
    va_end(args);
    return n;
}

static void text_vadd(struct text *t, const char *fmt, va_list *args)
{
    vadd(t, fmt, args);
    if (t->size > 0 && t->len >= t->size) {
        t->len = t->size - 1;
        t->cut = true;
    }
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_vadd(t, fmt, &args);
    va_end(args);
}

void text_explain(struct text *why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (why != NULL)
        text_vadd(why, fmt, &args);
    va_end(args);
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_number(const char *s, size_t len, u64 *value)
{
    u64 base = 10, n = 0;
    if (len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
        len -= 2;
    }
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        u64 digit = (u64)hex_digit(s[i]);
        if (digit >= base || n > (UINT64_MAX - digit) / base)
            return false;
        n = n * base + digit;
    }
    *value = n;
    return true;
}
