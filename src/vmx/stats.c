// SPDX-License-Identifier: MIT
#include "lib/count.h"

#ifdef COUNT_VMX
u64 counts[COUNTS];
#endif
