"""A Ray cluster begun by the test: the same results, and a worker that dies takes nothing along."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from tests.end_to_end import runs

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,  # a cluster takes half a minute to come and go
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A cluster of two cores on this machine, without statistics of use; ended by the id of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Ray's sockets have long names, and a socket's name must not be longer than 107 letters
    options = [
        "--head",
        "--block",
        "--disable-usage-stats",
        "--num-cpus=2",
        f"--port={port}",
        "--node-ip-address=127.0.0.1",
        "--include-dashboard=false",
        "--object-store-memory=100000000",
    ]
    ray = Path(sys.executable).with_name("ray")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    head = subprocess.Popen([ray, "start", *options], stdout=subprocess.PIPE, text=True, env=environment)
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    yield f"127.0.0.1:{port}"
    head.send_signal(signal.SIGTERM)
    head.communicate(timeout=60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return runs.table(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    assert runs.complete(data, out, "--repeats", 4).returncode == 0
    return runs.without_times(out)


def workers():
    """Return the processes of Ray that are doing a piece."""
    found = []
    for entry in (p.name for p in Path("/proc").iterdir()):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_text()
            except OSError:
                continue
            if line.startswith("ray::_do"):
                found.append(int(entry))
    return found


def test_a_cluster_gives_the_results_of_one_process(data, whole, address, tmp_path):
    out = tmp_path / "out"
    done = runs.complete(data, out, "--repeats", 4, "--ray", address)
    assert done.returncode == 0, done.stderr
    assert runs.without_times(out) == whole


def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(data, whole, address, tmp_path):
    out, killed = tmp_path / "out", []
    process = runs.begin(data, out, "--repeats", 4, "--ray", address, stderr=subprocess.PIPE)
    while process.poll() is None and len(killed) < 2:
        for pid in workers()[:1]:
            if runs.finished(out) > 2 * len(killed):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert killed, "the comparison was over before a worker could be killed: it tests nothing"
    assert runs.without_times(out) == whole
    assert runs.finished(out) == 16


def test_kill_9_of_the_one_that_writes_and_resume(data, whole, address, tmp_path):
    out = tmp_path / "out"
    process = runs.begin(data, out, "--repeats", 4, "--ray", address)
    assert runs.wait_for(lambda: runs.finished(out) > 0 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert runs.complete(data, out, "--repeats", 4, "--ray", address, "--resume").returncode == 0
    assert runs.without_times(out) == whole


def test_a_module_of_the_users_own_need_not_be_on_the_cluster(address, tmp_path):
    (tmp_path / "mine_alone.py").write_text(
        "import torch\ndef make(n_features, n_classes):\n    return torch.nn.Linear(n_features, n_classes)\n"
    )
    data = runs.table(tmp_path, 400)
    begun = runs.command(data, tmp_path / "out", "--repeats", 1, "--ray", address, "--model", "mine_alone:make")
    done = subprocess.run(begun, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"steelyard predict {tmp_path / 'out' / 'model'} NEW_ROWS.csv --factory mine_alone:make" in done.stdout


def test_where_there_is_no_cluster_it_is_said_how_to_start_one():
    X, y = np.zeros((20, 2)), [0, 1] * 10
    X[:, 0] = np.arange(20) % 7
    X[:, 1] = np.arange(20) % 3
    with pytest.raises(InputError, match="the address of a running Ray cluster; got 'local'. Hint: `ray start --head"):
        sy.compare(X, y, ["balanced"], "linear", cv=2, repeats=1, ray="local")
