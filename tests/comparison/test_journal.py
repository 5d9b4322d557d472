import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from steelyard.comparison.journal import FILE, Journal
from steelyard.errors import InputError

ABOUT = {"data": "abc", "settings": {"cv": 5}}


def work(value):
    return {"none": ({"seconds": value}, {"proba": np.full((2, 2), value)}), "focal": ({"failed": "no"}, {})}


def test_work_comes_back_as_it_was(tmp_path):
    with Journal(tmp_path / FILE, ABOUT) as journal:
        journal.add("linear", 0, 1, work(0.1))
        assert journal.get("linear", 0, 2) == {}
    with Journal(tmp_path / FILE, ABOUT) as journal:
        kept = journal.get("linear", 0, 1)
        assert kept["none"][0] == {"seconds": 0.1}
        np.testing.assert_array_equal(kept["none"][1]["proba"], np.full((2, 2), 0.1))
        assert kept["focal"] == ({"failed": "no"}, {})
        assert journal.finished() == [("linear", 0, 1)]


def test_another_comparison_is_refused(tmp_path):
    Journal(tmp_path / FILE, ABOUT).close()
    with pytest.raises(InputError, match="the same data as when"):
        Journal(tmp_path / FILE, ABOUT | {"data": "abd"})


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(InputError, match="a journal in"):
        Journal(tmp_path / FILE, ABOUT)


def test_a_pickle_in_a_journal_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    with Journal(tmp_path / FILE, ABOUT) as journal:
        # an object array is a pickle inside the archive
        journal.add("linear", 0, 0, {"none": ({}, {"proba": np.array([Evil()], dtype=object)})})
        with pytest.raises(ValueError, match="allow_pickle"):
            journal.get("linear", 0, 0)
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_kill_9_loses_no_finished_work(tmp_path):
    script = textwrap.dedent(
        """
        import sys, numpy as np
        from steelyard.comparison.journal import Journal
        journal = Journal(sys.argv[1], {"data": "abc"})
        for fold in range(10_000):
            journal.add("linear", 0, fold, {"none": ({}, {"proba": np.full(1000, fold)})})
            print(fold, flush=True)
        """
    )
    path = tmp_path / FILE
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    told = [process.stdout.readline() for _ in range(20)]
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    finished = int(told[-1])
    with Journal(path, {"data": "abc"}) as journal:
        assert len(journal.finished()) >= finished + 1
        for fold in range(finished + 1):
            assert (journal.get("linear", 0, fold)["none"][1]["proba"] == fold).all()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    with Journal(tmp_path / FILE, ABOUT) as journal:
        journal.add("linear", 0, 0, work(0.1))
        # SQLite's own limit gives the error that a full disk gives
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        noise = np.random.default_rng(0).normal(size=20_000)
        with pytest.raises(InputError, match=r"room and permission to write.*full.*--resume"):
            journal.add("linear", 0, 1, {"none": ({}, {"proba": noise})})
    with Journal(tmp_path / FILE, ABOUT) as journal:
        assert journal.finished() == [("linear", 0, 0)]
