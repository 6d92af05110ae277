# SPDX-License-Identifier: GPL-2.0-or-later
"""The only code that runs inside the guest: cases for guest_memfd write(), and their runner.

Standard library only, Python 3.9 or later, nothing of kverdict outside this folder: the guest
sees this folder and no other.  docs/guest-cases.md says how to write a case.
"""
