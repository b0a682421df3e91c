"""Benchmarks: our kernels, steps and models beside their rivals and the machine's limits.

``onepass bench`` runs them; ``bench/README.md`` in the sources says what the figures mean.
"""
