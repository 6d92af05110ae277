# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line in a process that kills itself at the N-th boot: `-m tests.bisectchild N ...`.

SIGKILL, so that nothing of the program runs after it; only the boot is a double.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from kverdict import cli, evaluate
from kverdict.models import Guest
from kverdict.stages import boot
from tests.bisectworld import Kernels


def main() -> None:
    last, args = int(sys.argv[1]), sys.argv[2:]
    kernels = Kernels()

    def boots(bzimage: Path, **options: Any) -> Guest:
        if len(kernels.calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        with Path("boots").open("a") as log:
            log.write(f"{bzimage.parent.name} {options['console'].name}\n")
        return kernels.boot(bzimage, **options)

    mock.patch.object(boot, "boot", boots).start()
    mock.patch.object(evaluate, "choose_accelerator", kernels.choose).start()
    sys.argv = ["pipeline.py", *args]
    cli.main()


if __name__ == "__main__":
    main()
