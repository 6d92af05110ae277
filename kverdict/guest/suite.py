# SPDX-License-Identifier: GPL-2.0-or-later
"""All cases, in the order in which they run: the promises first, the races last."""

from __future__ import annotations

from typing import Tuple

from . import content, defects, flags, matrix, races, vcpu
from .case import Case

CASES: Tuple[Case, ...] = (
    *flags.CASES,
    *matrix.CASES,
    *content.CASES,
    *vcpu.CASES,
    *defects.CASES,
    *races.CASES,
)
