// SPDX-License-Identifier: MIT
#include "lib/error.h"

static const char *const names[] = {
    [OK] = "ok",
    [ERR_INVALID] = "invalid value",
    [ERR_NOT_FOUND] = "not found",
    [ERR_NO_MEMORY] = "out of memory",
    [ERR_UNSUPPORTED] = "not supported",
    [ERR_TRUNCATED] = "truncated",
    [ERR_FORMAT] = "wrong format",
    [ERR_BUSY] = "busy",
    [ERR_TIMEOUT] = "timed out",
    [ERR_FAULT] = "bad address",
};

const char *error_name(enum error e)
{
    return (size_t)e < ARRAY_SIZE(names) && names[e] != NULL ? names[e] : "unknown error";
}
