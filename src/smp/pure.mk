# Nothing here is built for the host.

# Called at frequent exits: see vcpu/pure.mk.
$B/obj/src/smp/timer.o: CFLAGS += -fomit-frame-pointer
