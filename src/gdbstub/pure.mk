# SPDX-License-Identifier: MIT
# All of the stub but target*.c, which join it to the appliance.
PURE += $(filter-out src/gdbstub/target%.c,$(wildcard src/gdbstub/*.c))
