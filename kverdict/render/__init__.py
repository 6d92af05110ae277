# SPDX-License-Identifier: GPL-2.0-or-later
"""Models and templates -> pages, mails and what the terminal shows."""
