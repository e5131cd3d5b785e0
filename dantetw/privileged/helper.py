"""
The privileged helper: a process of ``user.privileged`` that listens to no network.

It is a fork of the server from before it drops its privileges, and serves the requests of
:mod:`.requests` as far as :mod:`.permitted` allows.  The processes that make them read what
strangers send, so the helper treats them as compromised: what is permitted it reads from the
configuration itself.  It ends when no process of the server is left.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import BoundedSemaphore, Lock, Thread
from typing import Final, NoReturn, Protocol

from dantetw.auth.shadow import PasswordVerdict
from dantetw.auth.verifying import BUSY, THREADS
from dantetw.config import Parsed
from dantetw.fairness import BusyError, client_of
from dantetw.net.adopting import adopt
from dantetw.net.host import Host
from dantetw.observe.formats.oneline import one_line
from dantetw.privileged import requests
from dantetw.privileged.direct import ByProcess
from dantetw.privileged.peers import MOST_CHANNELS as MOST_OF_ONE
from dantetw.privileged.peers import WRONG_BURST, WRONG_PER_SECOND, Peer, name_of
from dantetw.privileged.permitted import Permitted
from dantetw.process import garbage, prctl
from dantetw.process.closing import close_all_but
from dantetw.threads import Gate

#: What ``ps`` shows of it.
NAME: Final = "sockd: helper"

#: Most channels in all; :mod:`.peers` limits those of one process.
MOST_CHANNELS: Final = 512
#: Most doors of workers, those that end included.
MOST_DOORS: Final = 1024

#: Signals that the helper ignores: terminals and scripts send them to the whole process group.
IGNORED: Final = (
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGTERM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
    "SIGPIPE",
)

_SUPERVISORS: Final = "only the supervisor process may"

#: An opener for :func:`open`.
Opener = Callable[[str, int], int]


class Reread(Protocol):
    """Reads the configuration once more, opening its file with the opener; for a thread."""

    def __call__(self, opener: Opener) -> Parsed:
        """May look up names.  Does not call the opener if there is no file."""


class HelperRefusal(Exception):  # noqa: N818 - what is said, not what went wrong
    """A request is not permitted; the text says why."""


class Helper:
    """
    Answers requests.

    :param door: our end of the supervisor's.
    :param direct: does what is permitted.
    :param permitted: what the configuration in force names.
    :param doors: there are workers, which make doors of their own.
    :param report: called, from any thread, with one line for the operator.
    """

    def __init__(
        self,
        door: socket.socket,
        direct: ByProcess,
        permitted: Permitted,
        reread: Reread | None,
        doors: bool = False,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._door = door
        self._direct = direct
        self._reread = reread
        # What all configurations since the start permit: only the server knows which of them is in
        # force, and it is not trusted here; each was the operator's.
        self._permitted = permitted
        self._changing = Lock()
        self._hashing = Gate(THREADS, MOST_CHANNELS, time.monotonic)
        self._places = BoundedSemaphore(MOST_CHANNELS)
        self._supervisor = Peer(True)
        # Doors that can still be made.  A supervisor that serves clients itself could make some
        # for its own use, each with a share.
        self._doors = BoundedSemaphore(MOST_DOORS if doors else 1)
        if not doors:
            self._doors.acquire()
        self._threads: list[Thread] = []
        self._report = report

    def serve(self) -> None:
        """Answer until the server's last process has ended."""
        self._serve_door(self._door, self._supervisor)
        # Workers may outlive the supervisor process for a moment.
        for thread in tuple(self._threads):
            thread.join()
        self._direct.close()

    def _serve_door(self, door: socket.socket, peer: Peer) -> None:
        while True:
            try:
                packet, descriptors = requests.receive(door)
            except requests.MalformedError:
                continue
            except OSError:
                break
            if not packet and not descriptors and (not peer.is_server or _is_over(door)):
                break
            self._let_in(packet, descriptors, peer)

    def _let_in(self, packet: bytes, descriptors: list[int], peer: Peer) -> None:
        """Carry out a request that came by a door."""
        try:
            request = requests.parse_request(packet, len(descriptors))
            if request.what is not requests.HelperTask.CHANNEL and (
                request.what is not requests.HelperTask.DOOR or not peer.is_server
            ):
                raise requests.MalformedError("not by the door")
            sock = socket.socket(fileno=descriptors[0])
        except (requests.MalformedError, OSError):
            requests.close(descriptors)
            return
        if request.what is requests.HelperTask.DOOR:
            self._start("door", self._thd_door, sock, Peer(False), self._doors)
        elif peer.channels.acquire(blocking=False):
            if not self._start("channel", self._thd_channel, sock, peer, self._places):
                peer.channels.release()
        else:
            self._report(
                f"the privileged helper refuses {name_of(sock)} a channel: it has {MOST_OF_ONE}"
            )
            sock.close()

    def _start(
        self,
        what: str,
        target: Callable[[socket.socket, Peer], None],
        sock: socket.socket,
        peer: Peer,
        places: BoundedSemaphore,
    ) -> bool:
        """Serve a door or a channel in a thread, if there is a place for it."""

        def run() -> None:
            try:
                with sock:
                    target(sock, peer)
            finally:
                places.release()

        if not places.acquire(blocking=False):
            self._report(
                f"the privileged helper refuses {name_of(sock)} a {what}: there are enough"
            )
            sock.close()
            return False
        thread = Thread(target=run, name=what, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # as many as the system allows
            places.release()
            sock.close()
            return False
        if what == "door":
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        return True

    def _thd_door(self, door: socket.socket, peer: Peer) -> None:
        self._serve_door(door, peer)

    def _thd_channel(self, channel: socket.socket, peer: Peer) -> None:
        try:
            while self._serve_one(channel, peer):
                pass
        except requests.MalformedError as malformed:
            # Other processes must not be affected.
            self._report(
                f"the privileged helper has closed a channel of {name_of(channel)}: {malformed}"
            )
        except OSError:
            pass  # its other end is gone
        finally:
            peer.channels.release()

    def _serve_one(self, channel: socket.socket, peer: Peer) -> bool:
        """Answer one request; False if there are no more."""
        packet, descriptors = requests.receive(channel)
        if not packet:
            requests.close(descriptors)
            return False
        found: tuple[int, ...] = ()
        try:
            request = requests.parse_request(packet, len(descriptors))
            answer, found = self._answer(request, descriptors, peer, name_of(channel))
            requests.send(channel, requests.pack_answer(answer), found)
        finally:
            requests.close((*descriptors, *found))
        return True

    def _answer(
        self, request: requests.HelperRequest, descriptors: Sequence[int], peer: Peer, name: str
    ) -> tuple[requests.HelperAnswer, tuple[int, ...]]:
        try:
            found, opened = self._carry_out(request, descriptors, peer, name)
        except HelperRefusal as refusal:
            words = str(refusal)
        except OSError as error:
            words = error.strerror or str(error)
            return requests.HelperAnswer(requests.HelperOutcome.FAILED, words, error.errno or 0), ()
        except (OverflowError, UnicodeError):
            words = "that makes no sense"
        except Exception as bug:
            _complain(bug)
            words = f"internal error: {type(bug).__name__}"
        else:
            return requests.HelperAnswer(requests.HelperOutcome.DONE, found=found), opened
        self._report(f"{requests.refused(request.what, words)} ({name})")
        return requests.HelperAnswer(requests.HelperOutcome.REFUSED, words), ()

    def _carry_out(
        self, request: requests.HelperRequest, descriptors: Sequence[int], peer: Peer, name: str
    ) -> tuple[tuple[str | int, ...], tuple[int, ...]]:
        """
        Do what was requested.

        :param name: of the process, for people.
        :returns: what was found, and descriptors for the server.
        """
        direct, permitted = self._direct, self._permitted
        match request.what, request.arguments:
            case requests.HelperTask.OPEN_LOG, (path,):
                _require(path in permitted.logs, f"{path} is no log of the configuration")
                return (), (direct.open_log(path),)
            case requests.HelperTask.OPEN_FILE, (path,):
                _require(path in permitted.files, f"{path} is no file of the configuration")
                return (), (direct.open_file(path),)
            case requests.HelperTask.OPEN_CONFIG, ():
                _require(peer.is_server, _SUPERVISORS)
                return (), (self._open_config(),)
            case requests.HelperTask.STAMP, (path,):
                _require(path in permitted.looks, f"{path} is no file of the configuration")
                return direct.look(path), ()
            case requests.HelperTask.BIND, (host, port, scope):
                self._bind(descriptors[0], host, port, scope, peer)
                return (), ()
            case requests.HelperTask.CHECK_PASSWORD, (user, secret, client):
                _require(permitted.passwords, "the configuration asks for none of the system's")
                password = secret.encode("latin-1")
                return (self._thd_check(user, password, client, peer, name).value,), ()
            case requests.HelperTask.START_PAM, ():
                _require(permitted.pam, "the configuration has no method that asks PAM")
                _require(not peer.pam.wait(), "it has started too many within short time")
                peer.pam.take()
                return (), direct.start_pam(id(peer), permitted.pam_services).descriptors
            case requests.HelperTask.EMPTY_PIDFILE, ():
                _require(peer.is_server, _SUPERVISORS)
                direct.empty_pidfile()
                return (), ()
        raise HelperRefusal("not by a channel")

    def _thd_check(
        self, user: str, password: bytes, client: str, peer: Peer, name: str
    ) -> PasswordVerdict:
        """
        Check a password, fairly among the clients of all processes, and within the limit of wrong
        passwords of the process that asks.
        """
        while wait := peer.wrong.wait():
            self._report(
                f"{name} has had more than {WRONG_BURST} wrong passwords checked: from now on"
                f" {WRONG_PER_SECOND:g} a second"
            )
            time.sleep(wait)
        # "" would be the helper itself, which has no share to keep to.
        owner = client_of(client) or "?"
        try:
            with self._hashing.thd_pass(owner) as fault:
                verdict = self._direct.check_password(user, password)
                if verdict is not PasswordVerdict.RIGHT:
                    fault()
                    peer.wrong.take()
                return verdict
        except BusyError:
            raise OSError(errno.EAGAIN, BUSY) from None

    def _open_config(self) -> int:
        """Read the configuration, and permit what it names; its file."""
        opened: list[int] = []
        failed: list[OSError] = []

        def opener(path: str, flags: int) -> int:
            try:
                descriptor = self._direct.open_config(path, flags)
            except OSError as error:
                failed.append(error)
                raise
            opened.append(os.dup(descriptor))
            return descriptor

        _require(self._reread is not None, "there is no configuration file")
        assert self._reread is not None
        try:
            parsed = self._reread(opener)
            if failed:
                raise failed[0]
            _require(bool(opened), "there is no configuration file")
            if parsed.policy is not None:
                with self._changing:
                    self._permitted |= Permitted.of(parsed.policy)
            os.lseek(opened[0], 0, os.SEEK_SET)
        except BaseException:
            requests.close(opened)
            raise
        return opened[0]

    def _bind(self, descriptor: int, host: str, port: int, scope: int, peer: Peer) -> None:
        # A duplicate: the receiver closes the descriptor itself.
        with adopt(os.dup(descriptor), socket.socket) as sock:
            address: tuple[str | int, ...] = (host, port)
            if sock.family == socket.AF_INET6:
                address = (host, port, 0, scope)
            else:
                _require(sock.family == socket.AF_INET, "not a socket of the Internet")
            fits = self._permitted.binding(sock, address, Host().addresses_of, peer.is_server)
            _require(fits, f"{host} port {port} is no address of the configuration")
            self._direct.bind(sock, address)


def _is_over(door: socket.socket) -> bool:
    """
    Whether a packet without bytes is the end; if so, wait until the server has closed the door.

    One process might have shut it for all, and the others' channels count.
    """
    shut = getattr(select, "POLLRDHUP", 0)
    poller = select.poll()
    poller.register(door, shut)
    if shut and not poller.poll(0):
        return False
    poller.modify(door, 0)
    poller.poll()
    return True


def _require(condition: bool, words: str) -> None:
    if not condition:
        raise HelperRefusal(words)


def fork(
    prepare: Callable[[], None],
    make: Callable[[socket.socket], Helper],
    keep: Sequence[int] = (),
) -> tuple[socket.socket, int]:
    """
    Start the helper.

    :param prepare: called in the new process: becomes the helper's user.
    :param make: makes it of its end of the door.
    :param keep: further descriptors of ours that it needs.
    :returns: our end of the door, and the helper's process id.
    :raises OSError: if there can be no further process.
    """
    ours, theirs = requests.pair()
    # An exception of a signal's must not lead the child out of here: there is a whole server on the
    # stack above.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        process = os.fork()
        if not process:
            _be_helper(theirs, prepare, make, keep, before)
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return ours, process


def _be_helper(
    door: socket.socket,
    prepare: Callable[[], None],
    make: Callable[[socket.socket], Helper],
    keep: Sequence[int],
    mask: Iterable[int],
) -> NoReturn:
    status = 1
    try:
        _isolate((door.fileno(), *keep))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        prepare()
        make(door).serve()
        status = 0
    except BaseException as failed:
        _complain(failed)
    finally:
        os._exit(status)


def _complain(error: BaseException) -> None:
    """Say on standard error what has failed; there is no log here."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{NAME}: error: {one_line(text)}\n")
        sys.stderr.flush()


def _isolate(keep: Sequence[int]) -> None:
    """Be deaf to signals, and hold nothing of the server's open but these descriptors."""
    for word in IGNORED:
        signal.signal(getattr(signal, word), signal.SIG_IGN)
    # What the server has left behind must not be collected some day: it would close descriptors
    # whose numbers are ours by then.
    garbage.leave_alone()
    # twistd has put a log in their place, whose files are closed here.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    # The standard ones stay too: ``logoutput: /dev/stdout`` means them.
    close_all_but(keep)
    prctl.name(NAME)
