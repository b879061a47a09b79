"""What to say when a disk does not take a file: which file, why, and what to do."""

import errno
import os
import re
import shutil
from pathlib import Path

_TEMPORARY = re.compile(r"\.(.+)\.(\d+)\.tmp")
"""The name under which a file is written before it gets its own: ``.NAME.PID.tmp``."""


def reason_of(error: OSError, path: Path) -> str:
    """Why a disk does not take a file, and what to do, in one line for people.

    Args:
        error: What the operating system said.
        path: The file or folder that was to be written or read.

    Returns:
        The reason and the way out, without the number of the error.
    """
    folder = next((parent for parent in (path, *path.parents) if parent.is_dir()), Path())
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB free"
        return f"the disk of {folder} is full or your quota is used up ({free}): make room, and give the command again"
    if error.errno == errno.EROFS:
        return f"the file system of {folder} is read-only: take, or copy to, a folder that can be written to"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"you have no permission: change that of {folder}, or take another folder"
    return error.strerror or str(error)


def is_alive(pid: int) -> bool:
    """Whether another process of this machine has the number ``pid``."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # another user's; or no number of a process, and so none of ours to judge
    return True


def sweep(folder: Path, name: str = "") -> None:
    """Delete what a killed writer has left under temporary names; what a process writes that still runs is kept.

    Args:
        folder: Where to look, which belongs to glad unless a ``name`` is given. This process is writing nothing there.
        name: The only file or folder whose temporary names are looked at; of all by default.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or name not in ("", match[1]) or is_alive(int(match[2])):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
