# SPDX-License-Identifier: MIT
PURE += src/boot/pstore.c src/boot/ksyms.c src/boot/cfi.c src/boot/unwind.c src/boot/framebuffer.c \
        src/boot/textscreen.c

# The letters: dots to the bytes of a C array.
GENERATED += $B/gen/font.inc
$B/gen/font.inc: src/boot/font.txt src/boot/font.py
	@mkdir -p $(@D)
	@$(PYTHON) src/boot/font.py < $< > $@

$B/obj/src/boot/framebuffer.o $B/host/src/boot/framebuffer.o: $B/gen/font.inc
$B/obj/src/boot/framebuffer.o: CFLAGS += -I$B/gen
$B/host/src/boot/framebuffer.o: HOST_CFLAGS += -I$B/gen
