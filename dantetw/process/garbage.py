"""
Settings of the garbage collector, as far as the interpreter has any.

CPython's can ignore the objects that exist at a moment, and its frequency can be set.  PyPy's moves
objects, sets its own pace, and finds unused objects some time later, without reference counts.
"""

from __future__ import annotations

import gc


def leave_alone() -> None:
    """
    Let no object that exists now be collected later, garbage or not.

    For a fork: garbage that is there at that moment is in both processes.  If it names a descriptor
    that one of the two has closed before collecting it, what has that number by then is closed.

    Where the collector leaves nothing alone, what is garbage by now is collected at once.
    """
    if hasattr(gc, "freeze"):
        gc.freeze()
    else:
        gc.collect()


def settle(threshold: int) -> None:
    """
    Collect what is garbage by now, and look from now on for what is made later only, and rarely.

    :param threshold: objects that may come to be before the next look (:func:`gc.set_threshold`).
    """
    gc.collect()
    leave_alone()
    if hasattr(gc, "set_threshold"):
        gc.set_threshold(threshold)
