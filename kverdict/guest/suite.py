# SPDX-License-Identifier: GPL-2.0-or-later
"""All cases, in the order in which they run."""

from __future__ import annotations

from typing import Tuple

from . import matrix
from .case import Case

CASES: Tuple[Case, ...] = (*matrix.CASES,)
