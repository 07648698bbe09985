# SPDX-License-Identifier: MIT
"""The parts of ci/bare-machine, which tries the README's first commands where nothing is installed."""
