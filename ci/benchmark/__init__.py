# SPDX-License-Identifier: MIT
"""What `ci/bench` measures and how it is judged and shown."""
