# Sources that are also built for the host.
PURE += src/vmx/regs_check.c
PURE += src/vmx/intercept_names.c src/vmx/intercept_text.c
PURE += src/vmx/decode.c src/vmx/fetch.c src/vmx/follow.c \
        $(addprefix src/vmx/alu, .c _multiply.c _shift.c) \
        $(addprefix src/vmx/emulate, .c _0f.c _bits.c _descriptor.c _far.c _locked.c \
            _multiply.c _near.c _operand.c _segments.c _stack.c _string.c _system.c)

# The way of the frequent exits. Frames there cost more than they tell: a backtrace misses a handler
# that calls nothing.
$(patsubst %,$B/obj/src/vmx/%.o,exit exit_cpuid exit_io exit_memory exit_misc exit_msr \
    events fetch switch vmm): \
    CFLAGS += -fomit-frame-pointer

# Pure, and for size: a tenth of it is frames.
$B/obj/src/vmx/intercept_names.o $B/obj/src/vmx/intercept_text.o: CFLAGS += -fomit-frame-pointer
