"""
What each signal does, as Dante's manual says.

The reactor's own handlers make the process die of the signal after a clean stop; a server that was
asked to stop, and has, exits with status 0.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Signals that stop the server.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
#: SIGINFO where the system has it, SIGUSR1 everywhere.
STATUS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGINFO") if hasattr(signal, name))


def deafen() -> None:
    """
    Block the stopping signals.

    Once the reactor has stopped it restores the system's handlers, and a second SIGTERM would make
    a clean stop look like a death.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def keep(reactor: Any, catch: Callable[[], None]) -> None:
    """
    Keep our signal handlers when the reactor starts, which sets handlers of its own.

    :param catch: sets our handlers, which :func:`install` does; called once more after that.
    """

    def again() -> None:
        catch()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    # What comes in between waits: the reactor's handler would make it a death.
    reactor.addSystemEventTrigger(
        "before", "startup", signal.pthread_sigmask, signal.SIG_BLOCK, STOPPING
    )
    # Triggers are called in order, and the reactor's own was the first.
    reactor.addSystemEventTrigger("during", "startup", again)


def install(
    reactor: Any,
    stop: Callable[[int], None],
    reload: Callable[[], None],
    status: Callable[[], None],
) -> None:
    """
    Let signals call these from the reactor's main loop.

    :param stop: gets the signal's number.
    """

    def arrange(numbers: tuple[int, ...], call: Callable[[int], None]) -> None:
        def received(number: int, frame: FrameType | None) -> None:
            reactor.callFromThread(call, number)

        for number in numbers:
            signal.signal(number, received)

    arrange(STOPPING, stop)
    arrange((signal.SIGHUP,), lambda _: reload())
    arrange(STATUS, lambda _: status())
    # No meaning is documented for it, and Dante ignores it.
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
