// SPDX-License-Identifier: MIT
// What making a view needs to know of restrictions (restrict.c).
#pragma once

#include "ept/ept.h"

// Whether the CPU has pages of this level (1: 2 MiB, 2: 1 GiB).
static inline bool ept_has_pages(const struct ept_space *s, int level)
{
    return level == 1 ? s->features.pages_2m : level == 2 && s->features.pages_1g;
}

// The region that gpa lies in, or NULL.
const struct ept_region *ept_region_of(const struct ept_space *s, u64 gpa) REQUIRES_HELD(&s->lock);

// What a view permits of the `size` bytes at gpa, a page of the region that gpa lies in. False: one
// entry cannot map them, as they are not alike or not to be mapped together.
bool ept_compose(const struct ept_space *s, unsigned view, u64 gpa, u64 size, u32 *permissions)
    REQUIRES_HELD(&s->lock);
