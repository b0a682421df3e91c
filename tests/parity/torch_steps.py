"""Optimizers of `onepass.torch` and of `torch.optim` side by side: cases and steps."""

import torch

import onepass.torch

SHAPES = [(5, 33), (7,), (), (0, 3), (1,)]
# torch's Adafactor divides by a parameter's size, and takes the last two dimensions for a matrix.
SHAPES_OF = {"Adafactor": [(5, 33), (7,), (), (2, 3, 4), (1,), (1, 5)]}
# The classes with arguments that choose each of their rules.
CASES = {
    "SGD": ("SGD", {}),
    "SGD, decay": ("SGD", {"weight_decay": 0.1}),
    "SGD, momentum": ("SGD", {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    "SGD, nesterov": ("SGD", {"momentum": 0.8, "nesterov": True}),
    "Adam": ("Adam", {"weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    "Adam, decoupled": ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "Adam, amsgrad": ("Adam", {"amsgrad": True}),
    "AdamW": ("AdamW", {"weight_decay": 0.1}),
    "AdamW, amsgrad": ("AdamW", {"amsgrad": True}),
    "Adamax": ("Adamax", {"weight_decay": 0.1, "eps": 0.1}),
    "NAdam": ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    "NAdam, decoupled": ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "RAdam": ("RAdam", {"weight_decay": 0.1, "betas": (0.9, 0.95)}),
    "RAdam, decoupled": ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "RMSprop": ("RMSprop", {"alpha": 0.8, "weight_decay": 0.1}),
    "RMSprop, centered": ("RMSprop", {"centered": True}),
    "RMSprop, momentum": ("RMSprop", {"momentum": 0.5}),
    "RMSprop, both": ("RMSprop", {"momentum": 0.5, "centered": True}),
    "Adagrad": ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    "Adadelta": ("Adadelta", {"rho": 0.7, "weight_decay": 0.1}),
    "Rprop": ("Rprop", {"etas": (0.4, 1.3), "step_sizes": (1e-4, 0.5)}),
    "ASGD": ("ASGD", {"lambd": 0.01, "alpha": 0.5, "weight_decay": 0.1}),
    "ASGD, averages": ("ASGD", {"lambd": 0.01, "t0": 8.0}),
    "Adafactor": ("Adafactor", {"beta2_decay": -0.6, "weight_decay": 0.1}),
    "Adafactor, eps": ("Adafactor", {"eps": (1e-3, 0.5), "d": 1.5}),
}
CLASSES = sorted({name for name, _ in CASES.values()})
BEYOND = {
    "AdamHD": {"weight_decay": 0.1},
    "Ftrl": {},
    "LARS": {"weight_decay": 0.1, "momentum": 0.5, "trust_coefficient": 0.1},
    "Lamb": {"weight_decay": 0.1},
    "Lion": {"weight_decay": 0.1},
    "SGDHD": {"weight_decay": 0.1},
    "ScheduleFreeAdamW": {},
}


def theirs(case, parameters, **more):
    name, arguments = CASES[case]
    return getattr(torch.optim, name)(parameters, foreach=False, **arguments, **more)


def ours(case, parameters, **more):
    name, arguments = CASES[case]
    return getattr(onepass.torch, name)(parameters, **arguments, **more)


def tensors(seed=0, dtype=torch.float32, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes]


def parameters_of(values):
    return [torch.nn.Parameter(v.clone()) for v in values]


def start(case, dtype=torch.float32):
    """Return parameters that the case can step."""
    return parameters_of(tensors(0, dtype, SHAPES_OF.get(CASES[case][0], SHAPES)))


def walk(optimizer, parameters, steps, missing=(), rate=True):
    """Do the steps of these numbers; those in `missing` bring parameter 1 no gradient."""
    for k in steps:
        gradients = tensors(1000 + k, parameters[0].dtype, [p.shape for p in parameters])
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        if k in missing:
            parameters[1].grad = None
        if rate:
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + k % 3)
        optimizer.step()


def assert_near(got, expected, dtype=None):
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        epsilon = torch.finfo(dtype or a.dtype).eps
        torch.testing.assert_close(a.detach(), b.detach(), rtol=64 * epsilon, atol=64 * epsilon)


def assert_same(got, expected):
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=0, atol=0, equal_nan=True)


def two_groups(make, case, parameters):
    return make(
        case,
        [
            {"params": parameters[:2], "lr": 0.1, "maximize": True},
            {"params": parameters[2:], "weight_decay": 0.3},
        ],
        lr=0.01,
    )
