"""How fast the losses are on a CPU: `make bench`, or `python -m benchmarks.kernels --help`."""
