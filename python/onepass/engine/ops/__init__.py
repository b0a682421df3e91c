"""The operations a graph is made of: their shapes and the kernel calls they lower to.

Each op writes plain calls, one kernel for one thing; fusion is the business of ``rewrites``.
"""

from onepass.engine.ops.activation import ActivationOp, GluOp, RowOp
from onepass.engine.ops.dense import DenseOp
from onepass.engine.ops.dropout import DropoutOp
from onepass.engine.ops.op import Op
from onepass.engine.ops.reshape import ReshapeOp

__all__ = ["ActivationOp", "DenseOp", "DropoutOp", "GluOp", "Op", "ReshapeOp", "RowOp"]
