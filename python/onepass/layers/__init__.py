"""Layers: what models are made of."""

from onepass.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from onepass.layers.dense import Dense
from onepass.layers.input import Input, InputLayer
from onepass.layers.layer import Layer
from onepass.layers.noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from onepass.layers.regularization import ActivityRegularization
from onepass.layers.reshaping import Flatten

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Softmax",
]
