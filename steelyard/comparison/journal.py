"""The journal: each finished piece of work is on disk before the next begins.

A piece is all strategies of one model on one fold. It is written in one transaction, so that a run that is killed at
any moment leaves whole pieces and nothing else, and `--resume` goes on with the first that is missing.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.errors import InputError

__all__ = ["FILE", "Journal"]

FILE = "journal.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS work (
    model TEXT NOT NULL, repeat INTEGER NOT NULL, fold INTEGER NOT NULL, strategy TEXT NOT NULL,
    facts TEXT NOT NULL, arrays BLOB NOT NULL,
    PRIMARY KEY (model, repeat, fold, strategy)
);
"""


class Journal:
    """Finished work of one comparison, in an SQLite file.

    Parameters
    ----------
    path : str or Path
        The file; made if there is none.
    about : mapping
        What the work depends on, as JSON data: the data's fingerprint, the settings, the version. A journal that was
        begun with something else is refused, since its work would be of another comparison.

    Raises
    ------
    InputError
        The journal belongs to another comparison, or is no SQLite file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Journal(Path(folder) / FILE, {"fingerprint": "a1"}) as journal:
    ...         journal.add("linear", 0, 1, {"none": ({"seconds": 0.5}, {"proba": np.ones(2)})})
    ...     with Journal(Path(folder) / FILE, {"fingerprint": "a1"}) as journal:
    ...         facts, arrays = journal.get("linear", 0, 1)["none"]
    >>> facts, arrays["proba"]
    ({'seconds': 0.5}, array([1., 1.]))
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path)
        try:
            # a finished piece outlives a crash of the machine too
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
            self._agree(about)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise InputError(f"a journal in '{path}'", str(error), "choose another --out.") from error
        except InputError:
            self._connection.close()
            raise

    def _agree(self, about: Mapping[str, Any]) -> None:
        known = dict(self._connection.execute("SELECT key, value FROM about"))
        new = {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
        if not known:
            with self._connection:
                self._connection.executemany("INSERT INTO about VALUES (?, ?)", list(new.items()))
            return
        for key, value in new.items():
            if known.get(key) != value:
                raise InputError(
                    f"the same {key} as when '{self.path}' was begun ({_short(known.get(key))})",
                    _short(value),
                    "finish it with the data and options of then, or start anew with another --out or with --force.",
                )

    def get(self, model: str, repeat: int, fold: int) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Return the finished work of a model on a fold: strategy → (facts, arrays); empty when there is none."""
        rows = self._connection.execute(
            "SELECT strategy, facts, arrays FROM work WHERE model = ? AND repeat = ? AND fold = ?",
            (model, repeat, fold),
        )
        return {strategy: (json.loads(facts), _unpacked(arrays)) for strategy, facts, arrays in rows}

    def add(
        self, model: str, repeat: int, fold: int, work: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """Write the work of a model on a fold: all of it, or none.

        Raises
        ------
        InputError
            The disk is full or the file cannot be written; what was finished before is safe.
        """
        rows = [
            (model, repeat, fold, strategy, json.dumps(facts), _packed(arrays))
            for strategy, (facts, arrays) in work.items()
        ]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO work VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise InputError(
                f"room and permission to write '{self.path}'", str(error), "then go on with --resume: nothing is lost."
            ) from error

    def finished(self) -> Sequence[tuple[str, int, int]]:
        """Return (model, repeat, fold) of every finished piece."""
        return list(self._connection.execute("SELECT DISTINCT model, repeat, fold FROM work ORDER BY 1, 2, 3"))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _short(text: str | None) -> str:
    text = "nothing" if text is None else text
    return text if len(text) <= 60 else text[:57] + "..."


def _packed(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    plain: dict[str, Any] = {name: np.asarray(a) for name, a in arrays.items()}
    np.savez_compressed(buffer, **plain)
    return buffer.getvalue()


def _unpacked(data: bytes) -> dict[str, Any]:
    # allow_pickle stays False: a journal from a stranger runs no code
    with np.load(io.BytesIO(data)) as arrays:
        return {name: arrays[name] for name in arrays.files}
