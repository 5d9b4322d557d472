"""``python -m steelyard`` is the command too."""

from __future__ import annotations

from steelyard.errors import MissingDependencyError


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        from steelyard.cli import app
    except ModuleNotFoundError as error:
        raise SystemExit(
            str(MissingDependencyError(error.name or "typer", "the steelyard command", extra="compare"))
        ) from None
    app()


if __name__ == "__main__":
    main()
