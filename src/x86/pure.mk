# SPDX-License-Identifier: MIT
# The whole room is also built for the host.
PURE += $(wildcard src/x86/*.c)

# Called at frequent exits: see vcpu/pure.mk.
$B/obj/src/x86/fetch.o: CFLAGS += -fomit-frame-pointer
