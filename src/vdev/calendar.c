// SPDX-License-Identifier: MIT
#include "vdev/calendar.h"

#define DAY            86400
#define DAYS_400_YEARS 146097
#define DAYS_0_TO_1970 719468 // from 0000-03-01, where the years below begin

static i64 floor_div(i64 a, i64 b)
{
    return a / b - (a % b < 0);
}

// A year that begins in March has its leap day at its end, and its months' lengths repeat every
// five: 153 days.
i64 civil_to_seconds(const struct civil_time *t)
{
    i64 year = t->month <= 2 ? t->year - 1 : t->year;
    i64 month = (t->month + 9) % 12;
    i64 days = 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400);
    days += (153 * month + 2) / 5 + t->day - 1 - DAYS_0_TO_1970;
    return ((days * 24 + t->hour) * 60 + t->minute) * 60 + t->second;
}

struct civil_time civil_from_seconds(i64 seconds)
{
    const struct civil_time first = {0, 1, 1, 0, 0, 0}, last = {9999, 12, 31, 23, 59, 59};
    if (seconds < civil_to_seconds(&first))
        return first;
    if (seconds > civil_to_seconds(&last))
        return last;

    i64 days = floor_div(seconds, DAY);
    int rest = (int)(seconds - days * DAY);
    days += DAYS_0_TO_1970;
    i64 era = floor_div(days, DAYS_400_YEARS);
    i64 in_era = days - era * DAYS_400_YEARS;
    i64 year = (in_era - in_era / 1460 + in_era / 36524 - in_era / (DAYS_400_YEARS - 1)) / 365;
    i64 in_year = in_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * in_year + 2) / 153);
    struct civil_time t = {
        .month = month < 10 ? month + 3 : month - 9,
        .day = (int)(in_year - (153 * month + 2) / 5) + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
    t.year = (int)(year + era * 400) + (t.month <= 2);
    return t;
}

unsigned civil_weekday(i64 seconds)
{
    i64 days = floor_div(seconds, DAY) + 4; // 1970-01-01 was a Thursday
    return (unsigned)(days - floor_div(days, 7) * 7);
}
