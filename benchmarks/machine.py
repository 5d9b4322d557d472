"""What a figure was measured on: commit, processor and versions of packages."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def commit() -> str:
    """Return the commit that is checked out, with "-dirty" where tracked files differ from it."""
    line = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(line, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions(packages: Iterable[str], absent: str | None = "not installed") -> dict[str, str | None]:
    """Return the version of each package, `absent` where it is not installed."""
    out: dict[str, str | None] = {}
    for name in packages:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = absent
    return out
