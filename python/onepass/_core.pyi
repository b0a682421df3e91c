# Types of the extension module built from csrc/bind, one block a register_*.cpp in its order.
# Arrays are float32 or float64 (all of one call alike) with contiguous rows unless noted;
# onepass.kernels checks shapes before it calls. `python -m mypy.stubtest onepass._core` compares.

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

# pybind11 makes its classes with a metaclass that it does not export.
class _Pybind11Type(type): ...

# register_config.cpp
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
def compiled_isas() -> list[str]: ...
def threads() -> int: ...
def set_threads(n: int) -> None: ...
def set_team_thresholds(awake: float, asleep: float) -> None: ...
def flush_denormals() -> bool: ...
def set_flush_denormals(on: bool) -> None: ...
def aligned_zeros(size: int, float64: bool) -> NDArray[Any]: ...

# register_formulas.cpp
def activations() -> list[dict[str, Any]]: ...
def losses() -> list[dict[str, Any]]: ...
def rules() -> list[dict[str, Any]]: ...
def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]: ...
def accuracies() -> dict[str, int]: ...
def mean_divisors() -> dict[str, int]: ...

# register_kernels.cpp
def half_depth(depth: int) -> int: ...
def dense_forward(
    x: NDArray[Any],
    w: NDArray[Any],
    b: NDArray[Any] | None,
    z: NDArray[Any] | None,
    y: NDArray[Any],
    activation: int,
    hyper: Sequence[float],
) -> None: ...
def dense_backward_input(
    dz: NDArray[Any],
    w: NDArray[Any],
    z: NDArray[Any] | None,
    y: NDArray[Any] | None,
    dx: NDArray[Any],
    activation: int,
    hyper: Sequence[float],
    accumulate: bool,
) -> None: ...
def dense_backward_weights(
    x: NDArray[Any],
    dz: NDArray[Any],
    dw: NDArray[Any],
    db: NDArray[Any] | None,
    accumulate: bool,
) -> None: ...
def activation_forward(
    x: NDArray[Any], y: NDArray[Any], activation: int, hyper: Sequence[float]
) -> None: ...
def activation_backward(
    x: NDArray[Any] | None,
    y: NDArray[Any],
    dy: NDArray[Any],
    dx: NDArray[Any],
    activation: int,
    hyper: Sequence[float],
    accumulate: bool,
) -> None: ...
def softmax(x: NDArray[Any], y: NDArray[Any]) -> None: ...
def softmax_backward(
    y: NDArray[Any], dy: NDArray[Any], dx: NDArray[Any], accumulate: bool
) -> None: ...
def loss(
    id: int,
    hyper: Sequence[float],
    target: NDArray[Any],  # int32 where target_is_index
    target_is_index: bool,
    prediction: NDArray[Any],
    weights: NDArray[Any] | None,
    values: NDArray[Any] | None,
    gradient: NDArray[Any] | None,
    probabilities: NDArray[Any] | None,
    scale: float,
) -> None: ...
def row_accuracy(
    kind: int,  # 0 binary, 1 categorical, 2 sparse categorical (int32 targets)
    threshold: float,
    target: NDArray[Any],
    prediction: NDArray[Any],
    values: NDArray[Any],
) -> None: ...
def weighted_sum(values: NDArray[Any], weights: NDArray[Any] | None) -> tuple[float, float]: ...
def gather_rows(
    source: NDArray[Any],  # float32, float64, uint8 or int32
    index: NDArray[Any],  # int64
    scale: float,
    out: NDArray[Any],
) -> None: ...
def sum_of_squares(x: NDArray[Any]) -> float: ...
def scale_clip(x: NDArray[Any], scale: float, low: float, high: float) -> None: ...

# register_noise_kernels.cpp
def dropout(
    x: NDArray[Any],
    y: NDArray[Any],
    rate: float,
    alpha: bool,
    gradient: bool,
    key: tuple[int, int],
    draw: int,
    first: int,
    rows_per_sample: int,
    accumulate: bool,
) -> None: ...
def gaussian(
    x: NDArray[Any],
    y: NDArray[Any],
    stddev: float,
    multiplies: bool,
    key: tuple[int, int],
    draw: int,
    first: int,
    rows_per_sample: int,
    accumulate: bool,
) -> None: ...

# register_regularizing_kernels.cpp
def penalty(x: NDArray[Any], l1: float, l2: float, gradient: NDArray[Any] | None) -> float: ...
def constraints() -> dict[str, int]: ...
def constrain(
    x: NDArray[Any], kind: int, low: float, high: float, rate: float, epsilon: float
) -> None: ...

# register_optimizer.cpp
class Optimizer(metaclass=_Pybind11Type):
    def __init__(
        self,
        rule: int,
        float64: bool,
        torch_convention: bool,
        options: Sequence[float],
        clip_value: float,
        clip_norm: float,
        global_clip_norm: float,
        weight_decay: float,
        decoupled_decay: bool,
    ) -> None: ...
    def add(self, p: NDArray[Any], states: Sequence[NDArray[Any]], decays: bool) -> None: ...
    def set_gradients(self, gradients: Sequence[NDArray[Any]]) -> None: ...
    def step(self, learning_rate: float, t: int) -> None: ...
    def apply(self, gradients: Sequence[NDArray[Any]], learning_rate: float, t: int) -> None: ...
    def try_apply(self, gradients: Any, learning_rate: float, t: int) -> bool: ...
    @property
    def elementwise(self) -> bool: ...
    @property
    def global_norm(self) -> float: ...

# register_predictor.cpp; made by Plan.predictor
class Predictor(metaclass=_Pybind11Type):
    def __init__(self, /, *args: Any, **kwargs: Any) -> None: ...
    def predict(self, x: Any) -> NDArray[Any] | None: ...

# register_plan.cpp; buffers are known by the integers that its first methods return
class Plan(metaclass=_Pybind11Type):
    def __init__(self, float64: bool) -> None: ...
    def rows_buffer(self, cols: int, stride: int, rows_per_sample: int) -> int: ...
    def index_buffer(self, rows_per_sample: int) -> int: ...
    def doubles_buffer(self, cols: int, rows_per_sample: int) -> int: ...
    def phase(self) -> None: ...
    def view(self, of: int, cols: int, rows_per_sample: int) -> int: ...
    def fixed(self, array: NDArray[Any]) -> int: ...
    def gather(self, source: int, out: int) -> None: ...
    def output(self, source: int, output: int) -> None: ...
    def dense_forward(
        self,
        *,
        x: int,
        w: int,
        b: int | None = None,
        z: int | None = None,
        y: int,
        partial: int | None = None,
        activation: int,
        hyper: Sequence[float],
    ) -> None: ...
    def dense_backward_input(
        self,
        *,
        dz: int,
        w: int,
        z: int | None = None,
        y: int | None = None,
        dx: int,
        activation: int,
        hyper: Sequence[float],
        accumulate: bool,
    ) -> None: ...
    def dense_backward_weights(
        self, *, x: int, dz: int, dw: int | None = None, db: int | None = None, accumulate: bool
    ) -> None: ...
    def activation_forward(
        self, *, x: int, y: int, activation: int, hyper: Sequence[float]
    ) -> None: ...
    def activation_backward(
        self,
        *,
        x: int | None = None,
        y: int,
        dy: int,
        dx: int,
        activation: int,
        hyper: Sequence[float],
        accumulate: bool,
    ) -> None: ...
    def softmax(self, *, x: int, y: int) -> None: ...
    def softmax_backward(self, *, y: int, dy: int, dx: int, accumulate: bool) -> None: ...
    def dropout(
        self,
        *,
        x: int,
        y: int,
        rate: float,
        alpha: bool,
        gradient: bool,
        key: tuple[int, int],
        accumulate: bool,
    ) -> None: ...
    def gaussian(
        self,
        *,
        x: int,
        y: int,
        stddev: float,
        multiplies: bool,
        key: tuple[int, int],
        accumulate: bool,
    ) -> None: ...
    def loss(
        self,
        *,
        id: int,
        hyper: Sequence[float],
        target: int,
        prediction: int,
        weights: int | None = None,
        values: int | None = None,
        gradient: int | None = None,
        probabilities: int | None = None,
        mean: bool,
        factor: float,
    ) -> None: ...
    def row_accuracy(
        self, *, kind: int, threshold: float, target: int, prediction: int, values: int
    ) -> None: ...
    def weighted_sum(
        self, *, values: int, weights: int | None = None, at: int, count: int, factor: float
    ) -> None: ...
    def penalty(
        self,
        *,
        x: int,
        values: int,
        gradient: int | None = None,
        l1: float,
        l2: float,
        accumulate: bool,
    ) -> None: ...
    def penalty_sum(self, *, values: int, at: int) -> None: ...
    def constrain(
        self, *, p: int, kind: int, low: float, high: float, rate: float, epsilon: float
    ) -> None: ...
    def update(self, optimizer: Optimizer, tensors: Sequence[int] | None = None) -> None: ...
    def dense_update(
        self,
        *,
        x: int,
        dz: int,
        dw: int,
        db: int | None = None,
        optimizer: Optimizer,
        tensors: Sequence[int],
        penalties: Sequence[tuple[float, float]] = (),
    ) -> None: ...
    def predictor(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> Predictor: ...
    def run(
        self,
        sources: Sequence[tuple[NDArray[Any], float]],
        outputs: Sequence[NDArray[Any]],
        index: NDArray[Any] | None,  # int64
        steps: NDArray[Any],  # int64 (n, 3): first, rows, t
        learning_rates: NDArray[Any],  # float64 (n,)
        sums: NDArray[Any],  # float64 (n,)
        progress: NDArray[Any],  # int64 (1,): the steps done are added
        seconds: float,
        draw: int = 0,  # of dropout's masks
    ) -> None: ...
