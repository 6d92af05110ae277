# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of the data, in reading order: fetch, base, apply, configure, build, boot."""
