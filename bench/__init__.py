"""Benchmarks: our kernels, steps and models beside their rivals and the machine's limits.

Run ``python -m bench`` from the repository root; ``bench/README.md`` says what the figures mean.
"""
