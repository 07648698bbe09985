# SPDX-License-Identifier: MIT
# The whole room is also built for the host; a test gives it pages (page_alloc, page_free).
PURE += $(wildcard src/ept/*.c)
