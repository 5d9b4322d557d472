"""A comparison in a process of its own: begun, watched, broken off, and looked at without its times."""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

# a test runner in the background of a shell would hand down an ignored Ctrl-C
_LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from steelyard.__main__ import main; import sys; sys.argv[0] = 'steelyard'; main()"
)


def table(folder, rows=3000):
    """Write a table with a rare class, and return its path."""
    rng = np.random.default_rng(0)
    y = rng.random(rows) < 0.1
    columns = {f"x{i}": rng.normal(size=rows) + 0.5 * y for i in range(12)}
    path = folder / "data.csv"
    pd.DataFrame(columns | {"y": np.where(y, "ill", "well")}).to_csv(path, index=False)
    return path


def command(data, out, *more):
    settings = ("--target", "y", "--strategies", "balanced,oversample", "--model", "linear", "--cv", "4")
    return [sys.executable, "-c", _LISTENING, "compare", str(data), *settings, "--out", str(out), *map(str, more)]


def begin(*arguments, stderr=subprocess.DEVNULL, **options):
    return subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=stderr, text=True, **options)


def complete(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, **options)


def finished(out):
    """Return the pieces that the journal holds, as another process sees it."""
    try:
        with sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro", uri=True) as connection:
            return connection.execute(
                "SELECT COUNT(*) FROM (SELECT DISTINCT model, repeat, fold FROM work)"
            ).fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def wait_for(condition, seconds=120):
    """Wait until something is so, and say whether it became so."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def without_times(out):
    """Return results.json as it must be equal in every run of one comparison: without the seconds of its fits."""
    content = json.loads((out / "results.json").read_text())
    return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}


def children(pid):
    """Return the processes that a process began, and theirs."""
    found = []
    for entry in (p.name for p in Path("/proc").iterdir()):
        if entry.isdigit() and _stat(int(entry))[1:2] == [str(pid)]:
            found += [int(entry), *children(int(entry))]
    return found


def alive(pid):
    return _stat(pid)[:1] not in ([], ["Z"])


def _stat(pid):
    """Return state, parent, ... of a process, or nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
