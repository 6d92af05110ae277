# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict: build, boot and judge a Linux kernel patch series, with evidence."""

from __future__ import annotations

__version__ = "0.1.0"
