# Types of the extension module built from csrc/bind, one block a register_*.cpp in its order.
# Arrays are float32 or float64 (all of one call alike) with contiguous rows unless noted;
# onepass.kernels checks shapes before it calls. `python -m mypy.stubtest onepass._core` compares.

from collections.abc import Callable, Sequence
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
def aligned_zeros(size: int, float64: bool, device: str = "cpu") -> NDArray[Any]: ...
def copied_to(source: NDArray[Any], device: str) -> NDArray[Any]: ...
def bring_gpu(device: Any) -> None: ...

# register_formulas.cpp
def activations() -> list[dict[str, Any]]: ...
def functions() -> list[dict[str, Any]]: ...
def binary() -> list[dict[str, Any]]: ...
def losses() -> list[dict[str, Any]]: ...
def rules() -> list[dict[str, Any]]: ...
def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]: ...
def nadam_momentum_product(beta_1: float, momentum_decay: float, t: int) -> float: ...
def rule_numbers(
    rule: int, torch_convention: bool, options: Sequence[float], learning_rate: float, t: int
) -> list[float]: ...
def accuracies() -> dict[str, int]: ...
def column_sum_kinds() -> dict[str, int]: ...
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
def weighted_sum(values: NDArray[Any], weights: NDArray[Any] | None) -> tuple[float, float]: ...
def gather_rows(
    source: NDArray[Any],  # float32, float64, uint8 or int32
    index: NDArray[Any],  # int64
    scale: float,
    out: NDArray[Any],
) -> None: ...
def sum_of_squares(x: NDArray[Any]) -> float: ...
def scale_clip(x: NDArray[Any], scale: float, low: float, high: float) -> None: ...

# register_normalization_kernels.cpp
batch_statistics: int  # rows: mean, its low part, variance, 1 / deviation
most_norm_units: int  # of a dense layer that can take along the gradients of a norm before it
row_statistics: int  # columns: mean, its low part, factor

def batch_norm_forward(
    x: NDArray[Any],
    gamma: NDArray[Any] | None,
    beta: NDArray[Any] | None,
    y: NDArray[Any],
    statistics: NDArray[Any],
    epsilon: float,
) -> None: ...
def batch_norm_inference(
    x: NDArray[Any],
    moving_mean: NDArray[Any],
    moving_variance: NDArray[Any],
    gamma: NDArray[Any] | None,
    beta: NDArray[Any] | None,
    y: NDArray[Any],
    statistics: NDArray[Any],
    epsilon: float,
) -> None: ...
def batch_norm_backward(
    x: NDArray[Any],
    dy: NDArray[Any],
    statistics: NDArray[Any],
    gamma: NDArray[Any] | None,
    dx: NDArray[Any] | None,
    dgamma: NDArray[Any] | None,
    dbeta: NDArray[Any] | None,
    fixed: bool,
    accumulate: bool,
) -> None: ...
def moving_statistics(
    statistics: NDArray[Any], mean: NDArray[Any], variance: NDArray[Any], momentum: float
) -> None: ...
def row_norm(
    norm: str,  # "layer", "rms" or "unit"
    x: NDArray[Any],
    gamma: NDArray[Any] | None,
    beta: NDArray[Any] | None,
    y: NDArray[Any],
    statistics: NDArray[Any],
    epsilon: float,
) -> None: ...
def row_norm_backward(
    norm: str,
    x: NDArray[Any],
    dy: NDArray[Any],
    statistics: NDArray[Any],
    gamma: NDArray[Any] | None,
    dx: NDArray[Any] | None,
    dgamma: NDArray[Any] | None,
    dbeta: NDArray[Any] | None,
    accumulate: bool,
) -> None: ...

# register_combine_kernels.cpp
def combine(
    a: NDArray[Any],
    a_repeat: int,  # how often in a row each row comes; all of them come again
    b: NDArray[Any],
    b_repeat: int,
    y: NDArray[Any],
    op: int,
) -> None: ...
def combine_backward(
    a: NDArray[Any] | None,
    a_repeat: int,
    b: NDArray[Any] | None,
    b_repeat: int,
    dy: NDArray[Any],
    dx: NDArray[Any],
    dx_repeat: int,
    op: int,
    of_second: bool,
    accumulate: bool,
) -> None: ...
def scaled_copy(
    x: NDArray[Any] | None, repeat: int, y: NDArray[Any], scale: float, accumulate: bool
) -> None: ...
def scaled_sum(
    x: NDArray[Any], y: NDArray[Any], repeat: int, scale: float, accumulate: bool
) -> None: ...
def embedding(index: NDArray[Any], table: NDArray[Any], y: NDArray[Any]) -> None: ...
def embedding_backward(
    index: NDArray[Any], dy: NDArray[Any], dtable: NDArray[Any], accumulate: bool
) -> None: ...

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
def rrelu(
    x: NDArray[Any],
    value: NDArray[Any] | None,  # y of before: the gradient is asked for
    y: NDArray[Any],
    lower: float,
    upper: float,
    key: tuple[int, int],
    draw: int,
    first: int,
    rows_per_sample: int,
    accumulate: bool,
) -> None: ...

# register_circle_kernels.cpp
circle_numbers: int  # a row, of a work area

def circle(
    labels: NDArray[Any],  # int32
    embeddings: NDArray[Any],
    reference_labels: NDArray[Any] | None,  # int32
    references: NDArray[Any] | None,
    gamma: float,
    margin: float,
    remove_diagonal: bool,
    over_positive: bool,
    weights: NDArray[Any] | None,
    values: NDArray[Any],
    gradient: NDArray[Any],
    scale: float,
    similarities: NDArray[Any],
    per_row: NDArray[Any],
) -> None: ...

# register_regularizing_kernels.cpp
def penalty(x: NDArray[Any], l1: float, l2: float, gradient: NDArray[Any] | None) -> float: ...
def constraints() -> dict[str, int]: ...
def constrain(
    x: NDArray[Any], kind: int, low: float, high: float, rate: float, epsilon: float
) -> None: ...

# register_metrics_kernels.cpp
def row_accuracy(
    kind: int,  # see accuracies
    threshold: float,
    k: int,
    target: NDArray[Any],  # int32 for the sparse kinds
    prediction: NDArray[Any],
    values: NDArray[Any],
) -> None: ...
def confusion_counts(
    target: NDArray[Any],
    prediction: NDArray[Any],
    weights: NDArray[Any] | None,
    thresholds: NDArray[Any] | None,  # None: even
    n_thresholds: int,
    least: int,
    top_k: int,  # 0: all
    first: int,
    last: int,
    by_column: bool,
    counts: NDArray[Any],  # float64, added to
) -> None: ...
def column_sums(
    kind: int,  # see column_sum_kinds
    largest: bool,
    threshold: float,
    target: NDArray[Any],
    prediction: NDArray[Any],
    weights: NDArray[Any] | None,
    sums: NDArray[Any],  # float64, added to
) -> None: ...

# register_rowwise_kernels.cpp
def log_softmax(x: NDArray[Any], y: NDArray[Any]) -> None: ...
def log_softmax_backward(
    y: NDArray[Any], dy: NDArray[Any], dx: NDArray[Any], accumulate: bool
) -> None: ...
def sparsemax(x: NDArray[Any], y: NDArray[Any]) -> None: ...
def sparsemax_backward(
    y: NDArray[Any], dy: NDArray[Any], dx: NDArray[Any], accumulate: bool
) -> None: ...
def glu(x: NDArray[Any], y: NDArray[Any]) -> None: ...
def glu_backward(x: NDArray[Any], dy: NDArray[Any], dx: NDArray[Any], accumulate: bool) -> None: ...

# register_optimizer.cpp
# Whether what is put on a GPU's stream becomes a graph of the caller's.
def captures(stream: int) -> bool: ...

class Optimizer(metaclass=_Pybind11Type):
    def __init__(
        self,
        float64: bool,
        *,
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        global_clip_norm: float = 0.0,
        unscale: float = 1.0,
        needs_finite: bool = False,
        clears_gradients: bool = False,
        calls_a_step: int = 1,
        average_keep: float = 0.0,
        average_replaces: int = 0,
        clips_as_torch: bool = False,
        device: str = "cpu",
    ) -> None: ...
    def add_group(
        self,
        rule: int,
        torch_convention: bool,
        options: Sequence[float],
        weight_decay: float,
        decoupled_decay: bool,
        maximize: bool = False,
        rate_ratio: float = 1.0,
    ) -> int: ...
    def set_group(
        self,
        group: int,
        rule: int,
        torch_convention: bool,
        options: Sequence[float],
        weight_decay: float,
        decoupled_decay: bool,
        maximize: bool = False,
        rate_ratio: float = 1.0,
    ) -> None: ...
    # One number.
    def keep_learned_rate(self, group: int, learned: NDArray[Any]) -> None: ...
    # Arrays of uint16 hold bfloat16.
    def add(
        self,
        p: NDArray[Any],
        states: Sequence[NDArray[Any]],
        decays: bool,
        sum: NDArray[Any] | None = None,
        average: NDArray[Any] | None = None,
        group: int = 0,
        missed: int = 0,
    ) -> None: ...
    def set_gradients(self, gradients: Sequence[NDArray[Any] | None]) -> None: ...
    def step(self, learning_rate: float, t: int) -> None: ...
    def apply(
        self, gradients: Sequence[NDArray[Any] | None], learning_rate: float, t: int
    ) -> None: ...
    # The types are numbers of: float32, float64, float16, bfloat16.
    def apply_addresses(
        self,
        addresses: Sequence[int],
        numbers: Sequence[int],
        learning_rates: Sequence[float],
        t: int,
        stream: int = 0,
    ) -> None: ...
    def set_unscale(self, factor: float) -> None: ...
    @property
    def missed(self) -> list[int]: ...
    @missed.setter
    def missed(self, steps: Sequence[int]) -> None: ...
    @property
    def skipped(self) -> bool: ...
    # A step in a graph of the caller's; `rates_there`: the address of one float64 a group, which
    # each launch reads instead of the given rates.
    # How many steps graphs and others have done, for which it waits; new learning rates for the
    # launches to come.
    def capture(
        self,
        addresses: Sequence[int],
        numbers: Sequence[int],
        learning_rates: Sequence[float],
        t: int,
        stream: int,
        rates_there: int = 0,
    ) -> None: ...
    @property
    def captured(self) -> bool: ...
    @property
    def graph_stepped(self) -> bool: ...
    def steps_done(self) -> int: ...
    def set_steps_done(self, steps: int) -> None: ...
    def set_rates(self, learning_rates: Sequence[float], stream: int) -> None: ...
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
    def __init__(self, float64: bool, device: str = "cpu") -> None: ...
    def rows_buffer(self, cols: int, stride: int, rows_per_sample: int) -> int: ...
    def table_buffer(self, rows: int, cols: int, stride: int) -> int: ...
    def square_buffer(self) -> int: ...
    def index_buffer(self, rows_per_sample: int) -> int: ...
    def doubles_buffer(self, cols: int, rows_per_sample: int) -> int: ...
    def phase(self) -> None: ...
    def view(self, of: int, cols: int, rows: int) -> int: ...
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
        dropout_rate: float = 0.0,
        dropout_key: tuple[int, int] = (0, 0),
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
        gain: float = 1.0,
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
    def host(
        self,
        *,
        function: Callable[[list[NDArray[Any]], list[NDArray[Any]]], None],
        reads: Sequence[int],
        writes: Sequence[int],
    ) -> None: ...
    def log_softmax(self, *, x: int, y: int) -> None: ...
    def log_softmax_backward(self, *, y: int, dy: int, dx: int, accumulate: bool) -> None: ...
    def sparsemax(self, *, x: int, y: int) -> None: ...
    def sparsemax_backward(self, *, y: int, dy: int, dx: int, accumulate: bool) -> None: ...
    def glu(self, *, x: int, y: int) -> None: ...
    def glu_backward(self, *, x: int, dy: int, dx: int, accumulate: bool) -> None: ...
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
    def rrelu(
        self,
        *,
        x: int,
        value: int | None = None,
        y: int,
        lower: float,
        upper: float,
        key: tuple[int, int],
        accumulate: bool,
    ) -> None: ...
    def batch_norm_forward(
        self,
        *,
        x: int,
        gamma: int | None = None,
        beta: int | None = None,
        z: int | None = None,
        y: int,
        statistics: int,
        epsilon: float,
        activation: int,
        hyper: Sequence[float],
    ) -> None: ...
    def batch_norm_inference(
        self,
        *,
        x: int,
        moving_mean: int,
        moving_variance: int,
        gamma: int | None = None,
        beta: int | None = None,
        z: int | None = None,
        y: int,
        statistics: int | None = None,
        epsilon: float,
        activation: int,
        hyper: Sequence[float],
    ) -> None: ...
    def batch_norm_backward(
        self,
        *,
        x: int,
        dy: int,
        statistics: int,
        gamma: int | None = None,
        dx: int | None = None,
        dgamma: int | None = None,
        dbeta: int | None = None,
        fixed: bool,
        accumulate: bool,
        accumulate_gamma: bool,
        accumulate_beta: bool,
    ) -> None: ...
    def moving_statistics(
        self, *, statistics: int, mean: int, variance: int, momentum: float
    ) -> None: ...
    def row_norm(
        self,
        *,
        norm: str,
        x: int,
        gamma: int | None = None,
        beta: int | None = None,
        y: int,
        statistics: int,
        epsilon: float,
    ) -> None: ...
    def row_norm_backward(
        self,
        *,
        norm: str,
        x: int,
        dy: int,
        statistics: int,
        gamma: int | None = None,
        dx: int | None = None,
        dgamma: int | None = None,
        dbeta: int | None = None,
        accumulate: bool,
        accumulate_gamma: bool,
        accumulate_beta: bool,
    ) -> None: ...
    def combine(self, *, a: int, a_repeat: int, b: int, b_repeat: int, y: int, op: int) -> None: ...
    def combine_backward(
        self,
        *,
        a: int | None = None,
        a_repeat: int,
        b: int | None = None,
        b_repeat: int,
        dy: int,
        dx: int,
        dx_repeat: int,
        op: int,
        of_second: bool,
        accumulate: bool,
    ) -> None: ...
    def scaled_copy(
        self,
        *,
        x: int | None = None,  # without it y becomes 0
        y: int,
        repeat: int,
        x_first: int,
        y_first: int,
        cols: int,
        scale: float,
        mean: bool,
        accumulate: bool,
    ) -> None: ...
    def scaled_sum(
        self, *, x: int, y: int, repeat: int, scale: float, accumulate: bool
    ) -> None: ...
    def embedding(self, *, index: int, table: int, y: int) -> None: ...
    def embedding_backward(self, *, index: int, dy: int, dtable: int, accumulate: bool) -> None: ...
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
    def circle(
        self,
        *,
        target: int,
        prediction: int,
        weights: int | None = None,
        values: int | None = None,
        gradient: int | None = None,
        similarities: int,
        per_row: int,
        gamma: float,
        margin: float,
        remove_diagonal: bool,
        mean: bool,
        factor: float,
    ) -> None: ...
    def row_accuracy(
        self, *, kind: int, threshold: float, k: int, target: int, prediction: int, values: int
    ) -> None: ...
    def confusion_counts(
        self,
        *,
        target: int,
        prediction: int,
        weights: int | None = None,
        thresholds: Sequence[float],  # none: even
        n_thresholds: int,
        least: int,
        top_k: int,
        first: int,
        last: int,
        by_column: bool,
        at: int,
    ) -> None: ...
    def column_sums(
        self,
        *,
        kind: int,
        largest: bool,
        threshold: float,
        target: int,
        prediction: int,
        weights: int | None = None,
        at: int,
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
        norm_x: int | None = None,
        statistics: int | None = None,
        gamma: int | None = None,
        beta: int | None = None,
        sums: int | None = None,
        dgamma: int | None = None,
        dbeta: int | None = None,
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
        optimizer: object,  # or None: they are added to its attribute _calls, too
        seconds: float,
        draw: int = 0,  # of dropout's masks
    ) -> None: ...

# register_limits.cpp
def limits_multiply_add(isa: str, float64: bool, threads: int, seconds: float) -> float: ...
def limits_stream(
    reads: int, updates: int, writes: int, lines: int, threads: int, seconds: float
) -> float: ...
def limits_core_to_core(seconds: float) -> float: ...
def limits_spin(threads: int, rounds: int) -> float: ...
