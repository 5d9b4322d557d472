import subprocess
import sys

import pytest

from steelyard.comparison.journal import FILE
from steelyard.comparison.run_folder import LOCK, claimed
from steelyard.errors import InputError


def test_a_folder_in_use_is_refused_before_work_begins(tmp_path):
    with claimed(tmp_path), claimed(tmp_path / "new"):
        pass
    (tmp_path / "results.json").write_text("finished work")
    with pytest.raises(InputError, match=r"which holds files. Hint: .*--force"), claimed(tmp_path):
        pass
    with claimed(tmp_path, force=True):
        pass
    with pytest.raises(InputError, match="which is a file"), claimed(tmp_path / "results.json"):
        pass


def test_a_new_folder_that_nothing_was_written_to_is_gone_again(tmp_path):
    with pytest.raises(InputError, match="no"), claimed(tmp_path / "new"):
        raise InputError("something", "no")
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "new") as folder:
        (folder / "results.json").write_text("")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["results.json"]


def test_a_journal_is_gone_on_with_or_begun_anew(tmp_path):
    (tmp_path / FILE).write_text("work")
    with pytest.raises(InputError, match="which holds a comparison. Hint: --resume goes on with it"), claimed(tmp_path):
        pass
    with claimed(tmp_path, resume=True):
        assert (tmp_path / FILE).exists()
    with claimed(tmp_path, force=True):
        assert not (tmp_path / FILE).exists()


def test_one_at_a_time_and_force_takes_nothing_from_the_one_that_works(tmp_path):
    with claimed(tmp_path) as folder:
        (folder / FILE).write_text("work")
        for how in ({}, {"force": True}, {"resume": True}):
            with pytest.raises(InputError, match="in which a comparison is running"), claimed(tmp_path, **how):
                pass
        assert (folder / FILE).read_text() == "work"


def test_a_process_that_is_gone_holds_nothing(tmp_path):
    script = f"""
import os
from steelyard.comparison.run_folder import claimed
with claimed({str(tmp_path)!r}):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    assert (tmp_path / LOCK).exists()
    with claimed(tmp_path):
        pass
