"""Datasets as uint8 NumPy arrays, in the tuples ``keras.datasets`` returns.

Called by users and examples. This file only hands names on; nothing here touches the network.
"""

from onepass.datasets import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]
