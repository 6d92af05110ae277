# SPDX-License-Identifier: GPL-2.0-or-later
"""What logs and results mean: the compiler's, the console's, the guest suite's."""
