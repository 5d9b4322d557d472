"""Photograph the report of the demo for the README: runs/demo/report.html → docs/images/report.png.

    make demo
    .venv/bin/python docs/images/make_pictures.py

Needs Chromium or Chrome. The picture is the first screen of the page, in the light form, at most 300 kB.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LARGEST = 300_000  # bytes: what a README should load


def photograph(browser: str, page: Path, picture: Path, width: int, height: int) -> None:
    """Write the first screen of a page as PNG."""
    picture.unlink(missing_ok=True)  # a picture that is there afterwards is a new one
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={profile}", f"--window-size={width},{height}",
                f"--screenshot={picture}", page.resolve().as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    if done.returncode or not picture.is_file():
        raise SystemExit(f"{browser} made no picture of {page}:\n{done.stderr.strip()}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, default=ROOT / "runs" / "demo" / "report.html")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "report.png")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no picture: none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return
    if not chosen.report.is_file():
        raise SystemExit(f"'{chosen.report}' does not exist: run `make demo` first")
    photograph(browser, chosen.report, chosen.out.resolve(), chosen.width, chosen.height)
    size = chosen.out.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{chosen.out} has {size:,} bytes, more than {LARGEST:,}: choose a lower --height")
    print(f"{chosen.out}: {chosen.width} × {chosen.height}, {size:,} bytes")


if __name__ == "__main__":
    main()
