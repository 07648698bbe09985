# Sources that are also built for the host. string.c is not: the host has its C library.
PURE += src/lib/assert.c src/lib/crc32.c src/lib/format.c src/lib/error.c src/lib/heap.c src/lib/lock.c \
        src/lib/fixup.c
