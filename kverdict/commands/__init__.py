# SPDX-License-Identifier: GPL-2.0-or-later
"""A module a command of ./pipeline.py; cli.py loads only the one that was asked for."""
