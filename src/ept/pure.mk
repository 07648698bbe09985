# Sources that are also built for the host.
PURE += src/ept/memory.c src/ept/walk.c
