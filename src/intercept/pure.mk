# SPDX-License-Identifier: MIT
# Sources that are also built for the host.
PURE += src/intercept/intercept_names.c src/intercept/intercept_text.c

# Pure, and for size: a tenth of it is frames.
$B/obj/src/intercept/intercept_names.o $B/obj/src/intercept/intercept_text.o: \
    CFLAGS += -fomit-frame-pointer
