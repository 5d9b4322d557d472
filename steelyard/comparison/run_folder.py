"""The folder of a comparison: whether it may be written to, and that one process at a time does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from steelyard.comparison.journal import FILE as JOURNAL
from steelyard.errors import InputError, MissingDependencyError

__all__ = ["LOCK", "check_folder", "claimed", "locked"]

LOCK = ".lock"


@contextmanager
def claimed(folder: str | Path, force: bool = False, resume: bool = False) -> Iterator[Path]:
    """Keep a folder to this process, after it was seen to be fit for new results.

    Raises
    ------
    InputError
        As `locked` and `check_folder`.
    """
    with locked(folder) as kept:
        check_folder(kept, force, resume)
        yield kept


@contextmanager
def locked(folder: str | Path) -> Iterator[Path]:
    """Keep a folder to this process; it is made if it is not there, and gone again if nothing is written into it.

    The lock is the operating system's: it ends with the process, however that ends, and a lock file that was left
    behind holds nobody up.

    Raises
    ------
    InputError
        If `folder` is a file, or another process works in it.
    """
    folder = Path(folder)
    _refuse_file(folder)
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    filelock = _filelock()
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            "a folder that no other process writes to",
            f"'{folder}', in which a comparison is running",
            "wait until it is done, or choose another --out.",
        ) from None
    try:
        yield folder
    finally:
        with suppress(OSError):  # on Windows a file that is open stays, and does no harm
            # while it is held: whoever locks the file that is gone sees that it is, and makes a new one
            (folder / LOCK).unlink()
            if made and not any(folder.iterdir()):
                folder.rmdir()
        lock.release()


def check_folder(folder: str | Path, force: bool = False, resume: bool = False) -> None:
    """Refuse to write over something, before hours are spent on what would replace it.

    With `resume` a folder with a journal is fine. With `force` everything in it stays until the new results are
    complete, but for its journal, which is begun anew.

    Raises
    ------
    InputError
        If `folder` is a file, or holds anything and neither `force` nor `resume` allows it.
    """
    folder = Path(folder)
    _refuse_file(folder)
    journal = folder / JOURNAL
    if not folder.is_dir() or all(p.name == LOCK for p in folder.iterdir()) or (resume and journal.is_file()):
        return
    if not force:
        begun = journal.is_file()
        raise InputError(
            "an empty or new folder for the results",
            f"'{folder}', which holds {'a comparison' if begun else 'files'}",
            ("--resume goes on with it; " if begun else "")
            + "choose another --out, or --force to replace the results in it when the new ones are complete.",
        )
    for name in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"):
        (folder / name).unlink(missing_ok=True)


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError("a folder for the results", f"'{folder}', which is a file")


def _filelock() -> Any:
    try:
        import filelock
    except ModuleNotFoundError:
        raise MissingDependencyError("filelock", "a folder of results", extra="compare") from None
    return filelock
