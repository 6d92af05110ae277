# SPDX-License-Identifier: GPL-2.0-or-later
"""The real kernel of the e2e tests."""

from __future__ import annotations

from tests.e2e.conftest import base_kernel as base_kernel
from tests.e2e.conftest import cache as cache
