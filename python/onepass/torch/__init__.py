"""The update rules as optimizers of torch: change the import, and nothing else.

``from onepass.torch import AdamW`` in place of ``from torch.optim import AdamW``. The classes have
the arguments, defaults, parameter groups, hooks and state dictionaries of torch's classes of the
same names, and step float32, float64, float16 and bfloat16 parameters in one pass over memory, on
the CPU or, where onepass was built with CUDA, on the first GPU; those of one optimizer may lie on
both. Rules that torch does not have follow the same manners.

Every class also takes ``max_grad_norm``: gradients are clipped by their global norm on the way, as
`torch.nn.utils.clip_grad_norm_` would do before the step; ``grad_norm`` is then the norm. The
parameters must then be on one device and all float64 or none.

On a GPU a step is put on torch's current stream, and nobody waits for it. What waits:

- a step behind a change: of a group's numbers but for ``lr``, of which parameters have a gradient,
  of parameters and states themselves; and a first step of a rule whose states do not start at 0;
- the rules that look at whole tensors (`Lamb`, `LARS`, `Adafactor`, `Muon`, `SGDHD`, `AdamHD`),
  which read sums;
- whoever reads what is on the GPU: ``grad_norm``, `torch.amp.GradScaler`, which asks whether
  gradients are finite, or a step whose ``lr`` or other number is a tensor there.

In a CUDA graph (``with torch.cuda.graph(g): ... optimizer.step()``), behind at least one ordinary
step, nothing is done yet: each ``g.replay()`` does the next step, with the gradients that lie where
they lay, clipped as ever. An ``lr`` that is a number stays in the graph as it is; one that is a
tensor on the GPU is read at each replay, unchecked: let schedulers fill that. Ordinary steps may
come in between. Steps of graphs are counted when somebody asks: before the next ordinary step, in
``state_dict()``, ``grad_norm`` and copies, which wait for the GPU; until then ``state[p]["step"]``
is behind. Graphs that were captured before parameters, states or rule changed (by
``load_state_dict``, ``max_grad_norm``, another group or a parameter's first gradient, for example)
go on with those they had, and count for themselves: capture anew. The optimizer must live as long
as its graphs, and keeps what they read.

A `RuntimeError` refuses in a graph, before there is a step in it: a first step, which would make
states; a parameter that has a state, but no gradient, or has missed a step, or is on the CPU; the
rules above that look at whole tensors; other numbers than ``lr`` that are tensors on the GPU. Once
steps were captured, no parameter may miss one.
`torch.amp.GradScaler` asks whether gradients are finite, which torch refuses there.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("onepass.torch needs torch: pip install torch") from error

from onepass.torch.adam import Adam, Adamax, AdamW, NAdam, RAdam, ScheduleFreeAdamW
from onepass.torch.hypergradient import SGDHD, AdamHD
from onepass.torch.muon import Muon
from onepass.torch.optimizer import Optimizer
from onepass.torch.rules import ASGD, SGD, Adadelta, Adagrad, Ftrl, Lion, RMSprop, Rprop
from onepass.torch.scaled import LARS, Adafactor, Lamb

__all__ = [
    "ASGD",
    "LARS",
    "SGD",
    "SGDHD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamHD",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
]
