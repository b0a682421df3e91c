"""The operations a graph is made of: their shapes and the kernel calls they lower to.

Each op writes plain calls, one kernel for one thing; fusion is the business of ``rewrites``.
"""

from onepass.engine.ops.activation import ActivationOp, GluOp, RowOp
from onepass.engine.ops.activity import ActivityPenaltyOp
from onepass.engine.ops.columns import ConcatenateOp, SliceOp, SumOp
from onepass.engine.ops.combine import CombineOp
from onepass.engine.ops.dense import DenseOp, MatmulOp
from onepass.engine.ops.embedding import EmbeddingOp
from onepass.engine.ops.host import HostOp
from onepass.engine.ops.loss import LossOp
from onepass.engine.ops.noise import DropoutOp, GaussianOp, NoiseOp, RandomReluOp
from onepass.engine.ops.normalization import BatchNormOp, RowNormOp
from onepass.engine.ops.op import Op
from onepass.engine.ops.reshape import IdentityOp, ReshapeOp
from onepass.engine.ops.weight import FirstAxisSumOp, TransposeOp, WeightOp, as_tensor

__all__ = [
    "ActivationOp",
    "ActivityPenaltyOp",
    "BatchNormOp",
    "CombineOp",
    "ConcatenateOp",
    "DenseOp",
    "DropoutOp",
    "EmbeddingOp",
    "FirstAxisSumOp",
    "GaussianOp",
    "GluOp",
    "HostOp",
    "IdentityOp",
    "LossOp",
    "MatmulOp",
    "NoiseOp",
    "Op",
    "RandomReluOp",
    "ReshapeOp",
    "RowNormOp",
    "RowOp",
    "SliceOp",
    "SumOp",
    "TransposeOp",
    "WeightOp",
    "as_tensor",
]
