# SPDX-License-Identifier: MIT
PURE += src/boot/kept.c src/boot/ksyms.c
