# SPDX-License-Identifier: GPL-2.0-or-later
"""Knows Kconfig and nothing else; runs as a child in the sandbox (python -m kverdict.kconfig)."""
