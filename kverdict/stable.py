# SPDX-License-Identifier: GPL-2.0-or-later
"""What two runs of the same series on the same tree must agree on, to the last byte.

A verdict holds judgements and measurements.  Judgements follow from the series, the tree and the
recipe; measurements (seconds, instructions, a console's words) also depend on when they were taken.
The models mark the latter (``models.MEASURED``); everything else is the same again, whether a run
was undisturbed, killed and resumed, or done on another day, and one digest says so.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kverdict.runs import digest_of


def without_measurements(value: BaseModel) -> dict[str, Any]:
    """``value`` as JSON objects, lists and scalars, without the fields that are measured."""
    kept: dict[str, Any] = _kept(value, value.model_dump(mode="json"))
    return kept


def digest(value: BaseModel) -> str:
    """SHA-256 in hex of what is left without the measurements."""
    return digest_of(without_measurements(value))


def is_measured(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("measured") is True


def _kept(value: object, dumped: Any) -> Any:
    if isinstance(value, BaseModel):
        return {
            name: _kept(getattr(value, name), dumped[name])
            for name, field in type(value).model_fields.items()
            if not is_measured(field)
        }
    if isinstance(value, tuple):
        return [_kept(item, below) for item, below in zip(value, dumped, strict=True)]
    return dumped
