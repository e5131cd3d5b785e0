"""
What file system a file is on: some wait for another machine or process, for as long as that takes.
"""

from __future__ import annotations

import os
from typing import Final

_MOUNTS: Final = "/proc/self/mountinfo"

#: File systems whose writes wait for another machine, or for a process.
AWAY: Final = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "fuseblk",
        "gfs2",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    )
)


def file_system(descriptor: int) -> str:
    """The name of a file's file system, such as ``ext4``; empty if the system does not say."""
    try:
        device = os.fstat(descriptor).st_dev
        place = f"{os.major(device)}:{os.minor(device)}"
        with open(_MOUNTS, encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                # proc(5): the device is third, the name first behind a lone hyphen.
                head, _, tail = line.partition(" - ")
                if head.split()[2:3] == [place]:
                    return tail.split()[0]
    except (OSError, IndexError):
        pass
    return ""


def may_block(descriptor: int) -> bool:
    """Whether a write may wait for more than a disk."""
    name = file_system(descriptor)
    return name in AWAY or name.startswith("fuse.")
