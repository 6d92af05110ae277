# SPDX-License-Identifier: GPL-2.0-or-later
"""A run in the formats of other tools: a module a format, each a pure function Report -> bytes."""
