#!/usr/bin/env python3
# Written by `nbflow export`: a notebook as a plain module. Import it for its steps and flows; run it, and it does
# what the notebook does. Title: Threads of support
from nbflow import script as _script

# Its classes are the notebook's: what either has saved, the other finds.
__notebook__ = "threads.ipynb"

# Parameters: `-p name=value` gives other values.
day = ''  # the day
# End of the parameters.

import nbflow as nf


@nf.step
def f(x):
    return x


def main():
    """What the notebook does, in its order."""
    global run

    run = f.map([1, 2])
    _script.show(run.results())


if __name__ == "__main__":
    raise SystemExit(_script.run(main, globals()))
