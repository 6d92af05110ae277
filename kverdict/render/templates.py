# SPDX-License-Identifier: GPL-2.0-or-later
"""The templates, which are the users' to change: where they are looked for and how they fail.

A folder of the user's (setting ``templates``) goes before the one beside pipeline.py, file by file
(docs/templates.md).  They run in Jinja's sandbox, see frozen models, and judge nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import (
    BytecodeCache,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.bccache import Bucket
from jinja2.exceptions import TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from kverdict.errors import UserError
from kverdict.text import printable

Folders = Path | Sequence[Path]  # the first that has a file wins

# What an expression in a template can raise besides Jinja's own errors.
_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Loader(FileSystemLoader):
    """Also tells of a file that is no text, as Jinja does of one that is no template."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            places = (Path(folder, template) for folder in self.searchpath)
            file = next((str(path) for path in places if path.is_file()), template)
            raise TemplateSyntaxError("it is not UTF-8", line, template, file) from error


class _Compiled(BytecodeCache):
    """What this process compiled: templates are checked before hours of work, and filled after.

    By the digest of the source, which Jinja computes from the file each time, beside its name.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


@cache
def _compiled() -> _Compiled:
    return _Compiled()


def environment(
    folders: Folders,
    *,
    filters: Mapping[str, Callable[..., Any]],
    names: Mapping[str, object],
) -> SandboxedEnvironment:
    """Whatever a template prints is made printable first; in HTML it is escaped as well."""
    made = SandboxedEnvironment(
        loader=_Loader(folders),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=_compiled(),
        finalize=_finalize,
    )
    made.filters.update(filters)
    made.globals.update(names)
    return made


def _finalize(value: object) -> object:
    # Markup is what a template or the autoescape made; what was put into it came through here.
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def fill(environment: SandboxedEnvironment, name: str, content: Mapping[str, object]) -> str:
    """The template ``name`` with ``content``; raises UserError that names template and line."""
    try:
        return environment.get_template(name).render(content)
    except _ERRORS as error:
        raise _template_error(error, name) from error


def check_syntax(environment: SandboxedEnvironment, prefix: str) -> None:
    """Raises UserError for the first template of these that is none, before hours of work."""
    assert environment.loader is not None
    for name in environment.loader.list_templates():
        if name.startswith(prefix) and name.endswith(".j2"):
            try:
                environment.get_template(name)
            except TemplateError as error:
                raise _template_error(error, name) from error


def source(environment: SandboxedEnvironment, name: str) -> str:
    """A file of the templates folders as it is; raises UserError."""
    assert environment.loader is not None
    try:
        return environment.loader.get_source(environment, name)[0]
    except TemplateError as error:
        raise _template_error(error, name) from error


def _template_error(error: Exception, name: str) -> UserError:
    said = error.message if isinstance(error, TemplateError) else str(error)
    what = " ".join((said or "").split()) or type(error).__name__
    if isinstance(error, TemplateNotFound):
        return UserError(f"there is no template {error.name}", "see docs/templates.md")
    if isinstance(error, TemplateSyntaxError):
        place = f"{error.filename or error.name or name}:{error.lineno}"
    else:
        # Jinja gives a traceback the template's own file names and lines.
        rows = [row for row in traceback.extract_tb(error.__traceback__) if ".j2" in row.filename]
        place = f"{rows[-1].filename}:{rows[-1].lineno}" if rows else name
    return UserError(f"template {place}: {what}", "see docs/templates.md")
