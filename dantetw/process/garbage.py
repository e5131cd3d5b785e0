"""
What the garbage collector is told, as far as the interpreter's can be told anything.

CPython's can leave alone what there is at a moment, and be told how often to look for the rest.
PyPy's moves objects about, sees to its own pace, and finds without a reference count what nobody
uses: some time later.
"""

from __future__ import annotations

import gc


def leave_alone() -> None:
    """
    Let nothing that is there now be collected later on, garbage or not.

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
