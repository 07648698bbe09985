# SPDX-License-Identifier: MIT
# The whole room is also built for the host.
PURE += $(wildcard src/x86/*.c)
