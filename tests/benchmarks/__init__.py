"""The benchmark: this app beside a view that writes the same bytes once, and beside other upload servers.

Run it from the folder above: ``python -m benchmarks --help``. docs/performance.md says what it measures.
"""
