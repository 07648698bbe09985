# SPDX-License-Identifier: MIT
"""What `ci/bench-compare` measures under two hypervisors, and how it is shown."""
