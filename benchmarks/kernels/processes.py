"""One process per framework, pinned to as many cores as it has threads; the parent asks them in turns."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# glibc asks for huge pages behind malloc, which every framework's allocator ends in: the same for everybody
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def environment(threads, huge):
    """Return the environment of a process that measures."""
    n = str(threads)
    settings = {
        "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow",
        "OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n, "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    return {**os.environ, **settings, **(HUGE_PAGES if huge else {})}


class Child:
    """A process that measures with one framework."""

    def __init__(self, framework, threads, huge=False, **settings):
        self.framework = framework
        allowed = sorted(os.sched_getaffinity(0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kernels.worker", framework, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE if framework == "tensorflow" else None, cwd=ROOT,
            env=environment(threads, huge) | settings,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed[-threads:]),
        )  # fmt: skip
        self._quiet()

    def _quiet(self):
        """Read TensorFlow's messages away, so that its pipe does not fill; keep the last for an error."""
        self.said = []
        if self.process.stderr is not None:

            def drain():
                for line in self.process.stderr:
                    self.said = [*self.said[-20:], line]

            threading.Thread(target=drain, daemon=True).start()

    def ask(self, do, **request):
        """Return what the process answers."""
        print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.framework} ended: see above\n{''.join(self.said)}")
        return json.loads(line)["answer"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Children:
    """The processes of all frameworks that are installed."""

    def __init__(self, frameworks, threads, huge=False):
        self.all = [Child(f, threads, huge) for f in frameworks]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.all:
            child.close()
