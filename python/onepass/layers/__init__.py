"""Layers: what models are made of."""

from onepass.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from onepass.layers.dense import Dense
from onepass.layers.embedding import Embedding
from onepass.layers.function import Lambda
from onepass.layers.input import Input, InputLayer
from onepass.layers.layer import Layer
from onepass.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from onepass.layers.noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise, RReLU
from onepass.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from onepass.layers.numpy_layer import NumpyLayer
from onepass.layers.pooling import GlobalAveragePooling1D
from onepass.layers.preprocessing import Normalization
from onepass.layers.regularization import ActivityRegularization
from onepass.layers.rescaling import Rescaling
from onepass.layers.reshaping import Flatten, Reshape
from onepass.layers.trained_activations import PReLU, Swish

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "NumpyLayer",
    "PReLU",
    "RMSNormalization",
    "RReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "Subtract",
    "Swish",
    "UnitNormalization",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
