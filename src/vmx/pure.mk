# Sources that are also built for the host.
PURE += src/vmx/intercept_names.c src/vmx/intercept_text.c

# The way of the frequent exits. Frames there cost more than they tell: a backtrace misses a handler
# that calls nothing.
$(patsubst %,$B/obj/src/vmx/%.o,exit exit_cpuid exit_io exit_memory exit_misc exit_msr \
    events switch vmm): \
    CFLAGS += -fomit-frame-pointer

# Pure, and for size: a tenth of it is frames.
$B/obj/src/vmx/intercept_names.o $B/obj/src/vmx/intercept_text.o: CFLAGS += -fomit-frame-pointer
