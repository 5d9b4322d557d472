"""Faults, made on purpose: after each of them --resume ends with the results of a run that nothing happened to."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import steelyard as sy
from tests.end_to_end import runs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")

MANY = ("--repeats", 3)
LONG = ("--repeats", 12)  # longer than three further processes take to start
PARALLEL = (*MANY, "--jobs", 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return runs.table(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing happens to, and the seconds from its first finished piece to its end."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = runs.complete(data, out, *MANY)
    assert done.returncode == 0, done.stderr
    return runs.without_times(out)


def kill_at_random(data, out, generator, more):
    """Begin or go on, and kill at a random moment of the first seconds; return whether it was in time."""
    process = runs.begin(data, out, *more, "--resume")
    try:
        process.wait(timeout=generator.uniform(0.3, 4.0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def test_kills_at_random_moments(data, whole, tmp_path):
    """Two kills of the whole in one process, two with processes beside it."""
    generator = random.Random(0)
    for more in (MANY, PARALLEL):
        out, kills = tmp_path / f"out{len(more)}", 0
        while kills < 2:
            if kill_at_random(data, out, generator, more):
                kills += 1
            else:  # it was over before: again, from the beginning
                assert runs.without_times(out) == whole
                shutil.rmtree(out)
        done = runs.complete(data, out, *more, "--resume")
        assert done.returncode == 0, done.stderr
        assert runs.without_times(out) == whole


@pytest.mark.slow
def test_twenty_kills_at_random_moments(data, whole, tmp_path):
    generator, kills = random.Random(1), 0
    while kills < 20:
        out = tmp_path / "out"
        more = generator.choice((MANY, PARALLEL))
        if kill_at_random(data, out, generator, more):
            kills += 1
        else:
            assert runs.without_times(out) == whole
            shutil.rmtree(out)
    assert runs.complete(data, out, *MANY, "--resume").returncode == 0
    assert runs.without_times(out) == whole


def test_processes_end_with_the_one_that_began_them(data, tmp_path):
    process = runs.begin(data, tmp_path / "out", *PARALLEL)
    assert runs.wait_for(lambda: runs.finished(tmp_path / "out") > 0 or process.poll() is not None)
    workers = runs.children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert runs.wait_for(lambda: not any(map(runs.alive, workers)), 20), "processes without a parent go on"


def test_control_c_ends_all_processes_and_says_how_to_go_on(data, whole, tmp_path):
    out = tmp_path / "out"
    process = runs.begin(data, out, *PARALLEL, stderr=subprocess.PIPE, start_new_session=True)
    assert runs.wait_for(lambda: runs.finished(out) > 0 or process.poll() is not None)
    workers = runs.children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.strip().endswith("--resume goes on with it")
    assert "Traceback" not in said
    assert runs.wait_for(lambda: not any(map(runs.alive, workers)), 20)
    assert runs.complete(data, out, *PARALLEL, "--resume").returncode == 0
    assert runs.without_times(out) == whole


def test_a_full_disk_leaves_a_journal_to_go_on_with(data, whole, tmp_path):
    out = tmp_path / "out"

    # as full as a disk can be without one: no file may grow beyond 150 kB (a shell counts 512 bytes)
    little_room = ["sh", "-c", 'trap "" XFSZ; ulimit -f 293; exec "$@"', "sh"]
    full = subprocess.run([*little_room, *runs.command(data, out, *PARALLEL)], capture_output=True, text=True)
    assert full.returncode == 2
    assert "Error: Expected room and permission to write" in full.stderr
    assert "--resume: nothing is lost" in " ".join(full.stderr.split())
    assert "Traceback" not in full.stderr
    before = runs.finished(out)
    assert before >= 1
    assert runs.complete(data, out, *PARALLEL, "--resume").returncode == 0
    assert runs.without_times(out) == whole


def test_a_second_process_is_refused_until_the_first_is_gone(data, tmp_path):
    out = tmp_path / "out"
    process = runs.begin(data, out, *LONG)
    assert runs.wait_for(lambda: runs.finished(out) > 0 or process.poll() is not None)
    for more in (("--resume",), ("--force",), ()):
        second = runs.complete(data, out, *LONG, *more)
        assert second.returncode == 2
        assert "in which a comparison is running. Hint: wait until it is done" in second.stderr
    assert process.poll() is None, "the first was over before the second asked"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / ".lock").exists()  # left behind, and in nobody's way
    assert runs.complete(data, out, *LONG, "--resume").returncode == 0
    assert not (out / ".lock").exists()


def test_a_table_that_changed_is_refused(data, tmp_path):
    changed, out = tmp_path / "data.csv", tmp_path / "out"
    text = data.read_text()
    changed.write_text(text)
    process = runs.begin(changed, out, *MANY)
    assert runs.wait_for(lambda: runs.finished(out) > 0 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = runs.finished(out)
    line = text.splitlines()[7]
    changed.write_text(text.replace(line, line.replace("1", "2", 1)))
    refused = runs.complete(changed, out, *MANY, "--resume")
    assert refused.returncode == 2
    assert "Expected the same data as when" in refused.stderr
    assert runs.finished(out) == before
    changed.write_text(text)
    assert runs.complete(changed, out, *MANY, "--resume").returncode == 0


def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(data, whole, tmp_path):
    out = tmp_path / "out"
    process = runs.begin(data, out, *PARALLEL, stderr=subprocess.PIPE)
    assert runs.wait_for(lambda: runs.finished(out) > 0 or process.poll() is not None)
    workers = [p for p in runs.children(process.pid) if "popen_loky" in Path(f"/proc/{p}/cmdline").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    assert process.poll() is None, "the comparison was over before a worker was killed"
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert runs.without_times(out) == whole


def test_python_sees_what_the_command_left(data, tmp_path):
    out = tmp_path / "out"
    assert runs.complete(data, out, "--repeats", 1, "--jobs", 2).returncode == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "journal.sqlite",
        "model",
        "report.html",
        "report.md",
        "results.json",
    ]
    assert sy.load(out).classes_.tolist() == ["ill", "well"]
