"""
``crypt_r`` of the C library, which knows all hashes that the system's password file may have.

Python's own ``crypt`` module is gone since 3.13.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hmac
from collections.abc import Callable
from typing import Any, Final

# struct crypt_data is 32 KB in libxcrypt, 128 KB in the old glibc; neither says so at run time.
_DATA_SIZE: Final = 256 * 1024


class LibcryptMissingError(Exception):
    """There is no ``crypt_r`` here; the text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            'method "username" checks passwords with crypt_r() of the C library\'s libcrypt, which '
            "this system lacks: install it (packages libcrypt1, libxcrypt), or name a file of "
            'users with the keyword "username.file"'
        )


class Libcrypt:
    """
    The C library's ``crypt_r``.

    :param load: loads a shared library by its file name, None being the program itself.
    :raises LibcryptMissingError: if no library has it.
    """

    def __init__(self, load: Callable[[str | None], Any] = ctypes.CDLL) -> None:
        for library in ("libcrypt.so.2", "libcrypt.so.1", ctypes.util.find_library("crypt"), None):
            try:
                self._crypt_r = load(library).crypt_r
            except (OSError, AttributeError):
                continue
            break
        else:
            raise LibcryptMissingError
        self._crypt_r.restype = ctypes.c_char_p
        self._crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]

    def thd_hash(self, password: bytes, setting: bytes) -> bytes:
        """
        The hash of a password.

        :param setting: method, cost and salt; or a hash, which begins with its setting.
        :returns: empty if the library does not know the method.
        """
        data = ctypes.create_string_buffer(_DATA_SIZE)
        try:
            found: bytes | None = self._crypt_r(password, setting, data)
        finally:
            ctypes.memset(data, 0, _DATA_SIZE)  # it holds the password
        # Failure is NULL or, in libxcrypt, "*0" or "*1".
        return b"" if found is None or found.startswith(b"*") else found

    def thd_matches(self, password: bytes, stored: bytes) -> bool:
        """Whether a password is the one that was hashed; takes the same time if it is not."""
        # C would cut the password at a NUL, and then take the rest for right.
        computed = self.thd_hash(password.replace(b"\x00", b""), stored)
        same = hmac.compare_digest(computed, stored)
        return same and bool(stored) and b"\x00" not in password
