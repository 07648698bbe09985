// SPDX-License-Identifier: MIT
// What every function that can fail returns.
#pragma once

#include "lib/types.h"

enum MUST_CHECK error {
    OK = 0,
    ERR_INVALID,     // a value outside what is allowed
    ERR_NOT_FOUND,   // no such thing
    ERR_NO_MEMORY,   // not enough memory, or a fixed table is full
    ERR_UNSUPPORTED, // this CPU, or this appliance, does not do that
    ERR_TRUNCATED,   // the data end before they should
    ERR_FORMAT,      // not the format it claims to be
    ERR_BUSY,        // in use; try again
    ERR_TIMEOUT,     // no answer in time
    ERR_FAULT,       // an address that is not mapped or not permitted
};

const char *error_name(enum error e);
