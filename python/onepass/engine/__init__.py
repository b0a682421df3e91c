"""From layers to native plans: recording, differentiating, rewriting, feeding, fitting.

Data walks one way: ``graph`` (what was recorded) -> ``lowering`` (kernel calls, forward and
backward) -> ``rewrites`` (fusion) -> ``plan`` (native program) -> ``fitting`` (the loops).
"""
