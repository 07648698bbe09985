# SPDX-License-Identifier: MIT
# Sources that are also built for the host.
PURE += src/intercept/intercept_names.c src/intercept/intercept_text.c
