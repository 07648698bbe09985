# SPDX-License-Identifier: MIT
PURE += src/boot/ksyms.c
