"""``python -m neurocore``: the command line, where no script of that name is on the path."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import neurocore
from neurocore.entry import main

if __name__ == "__main__":
    if find_spec("neurocore.compiler") is None:
        sys.exit(f"neurocore: {neurocore._hidden()}")
    main()
