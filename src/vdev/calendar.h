// SPDX-License-Identifier: MIT
// Seconds since 1970-01-01 00:00:00 and the Gregorian calendar, without time zones.
#pragma once

#include "lib/types.h"

struct civil_time {
    int year;   // 0 to 9999
    int month;  // 1 to 12
    int day;    // 1 to 31
    int hour;   // 0 to 23
    int minute; // 0 to 59
    int second; // 0 to 59
};

// Fields must be within the ranges above; a day past its month's end counts into the next month.
i64 civil_to_seconds(const struct civil_time *t);

// Years outside 0 to 9999 come out as the nearest of these.
struct civil_time civil_from_seconds(i64 seconds);

// 0 is Sunday.
unsigned civil_weekday(i64 seconds);
