# SPDX-License-Identifier: MIT
"""The parts of ci/appliance, which boots the appliance's ISO in an emulator."""
