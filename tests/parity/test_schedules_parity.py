"""Schedules and their callbacks against Keras and torch's OneCycleLR."""

import inspect
import itertools
import json
import warnings

import numpy as np
import pytest

import onepass
from onepass import callbacks, optimizers
from onepass.optimizers import schedules

KERAS = {
    "exponential": ("ExponentialDecay", (0.1, 70, 0.9), {}),
    "exponential, stairs": ("ExponentialDecay", (0.1, 70, 0.9, True), {}),
    "exponential, to zero": ("ExponentialDecay", (0.1, 70, 0.0), {}),
    "inverse": ("InverseTimeDecay", (0.1, 70, 0.5), {}),
    "inverse, stairs": ("InverseTimeDecay", (0.1, 2.5, 0.5), {"staircase": True}),
    "pieces": ("PiecewiseConstantDecay", ([10, 50, 200], [0.4, 0.3, 0.2, 0.1]), {}),
    "one step": ("PiecewiseConstantDecay", ([10], [0.4, 0.3]), {}),
    "polynomial": ("PolynomialDecay", (0.1, 200), {}),
    "polynomial, cycle": ("PolynomialDecay", (0.1, 70, 0.02, 2.5, True), {}),
    "polynomial, root": ("PolynomialDecay", (0.1, 200, 0.3), {"power": 0.5}),
    "cosine": ("CosineDecay", (0.1, 200), {}),
    "cosine, warm": ("CosineDecay", (0.01, 200, 0.1, "x", 0.3, 50), {}),
    "cosine, no warm steps": ("CosineDecay", (0.01, 200), {"warmup_target": 0.2}),
    "cosine, no target": ("CosineDecay", (0.01, 200), {"warmup_steps": 50}),
    "restarts": ("CosineDecayRestarts", (0.1, 20), {}),
    "restarts, even": ("CosineDecayRestarts", (0.1, 20, 1.0, 0.9, 0.1), {}),
    "restarts, all": ("CosineDecayRestarts", (0.1, 20, 1.5, 0.8, 0.2), {}),
}
STEPS = 300


@pytest.fixture(autouse=True)
def cosine_in_double(keras, monkeypatch):
    """Keras's own cosine on JAX rounds a float64 to float32."""
    from keras.src import ops

    monkeypatch.setattr(ops, "cos", pytest.importorskip("jax").numpy.cos)


@pytest.mark.parametrize("case", KERAS)
def test_keras(keras, case):
    kind, arguments, named = KERAS[case]
    theirs = getattr(keras.optimizers.schedules, kind)(*arguments, **named)
    ours = getattr(schedules, kind)(*arguments, **named)
    jax = pytest.importorskip("jax")
    expected = np.asarray(jax.vmap(theirs)(jax.numpy.arange(STEPS)))
    assert expected.dtype == np.float64
    np.testing.assert_allclose([ours(step) for step in range(STEPS)], expected, rtol=1e-12)
    np.testing.assert_allclose(ours.rates(0, STEPS), expected, rtol=1e-12)
    config = theirs.get_config()
    assert ours.get_config() == config
    serialized = keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(json.loads(json.dumps(serialized)))
    assert again.get_config() == config
    assert keras.optimizers.schedules.deserialize(schedules.serialize(ours)).get_config() == config


def test_keras_names_and_arguments(keras):
    for name in dir(keras.optimizers.schedules):
        theirs = getattr(keras.optimizers.schedules, name)
        if name.startswith("_"):
            continue
        ours = getattr(schedules, name)
        if isinstance(theirs, type) and name != "LearningRateSchedule":
            ours, theirs = ours.__init__, theirs.__init__
        if callable(theirs) and not isinstance(theirs, type):
            wanted = inspect.signature(theirs).parameters.values()
            got = inspect.signature(ours).parameters.values()
            assert [(p.name, p.default) for p in got] == [(p.name, p.default) for p in wanted]


@pytest.mark.parametrize("kind", ["LearningRateScheduler", "ReduceLROnPlateau"])
def test_keras_arguments_of_callbacks(keras, kind):
    wanted = inspect.signature(getattr(keras.callbacks, kind).__init__).parameters.values()
    got = inspect.signature(getattr(callbacks, kind).__init__).parameters.values()
    assert [(p.name, p.default) for p in got] == [
        (p.name, p.default) for p in wanted if p.kind is not p.VAR_KEYWORD
    ]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own conversion
def test_keras_optimizer_with_schedule(keras):
    """The same rates at the same steps, and each reads the other's configuration."""
    theirs = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 20), name="adam")
    ours = optimizers.Adam(schedules.CosineDecay(0.1, 20), name="adam")
    start = np.random.default_rng(0).normal(size=5)
    variable, p = keras.Variable(start, dtype="float64"), start.copy()
    theirs.build([variable])
    ours.build([p])
    for seed in range(30):
        np.testing.assert_allclose(ours.learning_rate, float(theirs.learning_rate), atol=1e-14)
        g = np.random.default_rng(seed).normal(size=5)
        theirs.apply([keras.ops.convert_to_tensor(g, dtype="float64")])
        ours.apply([g])
    np.testing.assert_allclose(p, np.asarray(variable.value), rtol=1e-11)
    made = optimizers.Adam.from_config(theirs.get_config())
    assert made.get_config() == ours.get_config()
    serialized = ours.get_config()["learning_rate"]
    assert serialized["class_name"] == theirs.get_config()["learning_rate"]["class_name"]
    assert serialized["config"] == theirs.get_config()["learning_rate"]["config"]
    for optimizer in (theirs, ours):
        with pytest.raises(TypeError):
            optimizer.learning_rate = 0.5


PLATEAUS = [
    {"patience": 1},
    {"patience": 2, "factor": 0.5},
    {"patience": 0, "factor": 0.5},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "factor": 0.5, "min_delta": 0.3},
    {"patience": 1, "factor": 0.5, "min_delta": -0.3, "mode": "max"},
    {"patience": 2, "factor": 0.5, "cooldown": 1, "min_lr": 0.25, "mode": "max"},
]


@pytest.mark.parametrize("arguments", PLATEAUS)
def test_keras_reduces_at_the_same_epochs(keras, arguments):
    values = np.random.default_rng(5).integers(0, 8, 30) / 4

    def rates(library):
        class Told(library.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["loss"] = float(values[epoch])

        model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(1)])
        model.compile(library.optimizers.SGD(1.0), "mse")
        plateau = library.callbacks.ReduceLROnPlateau("loss", **arguments)
        x = np.zeros((2, 2), np.float32)
        history = model.fit(x, x[:, :1], epochs=len(values), verbose=0, callbacks=[Told(), plateau])
        assert list(history.history) == ["loss", "learning_rate"]
        return history.history["learning_rate"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jax
        np.testing.assert_allclose(rates(onepass), rates(keras), rtol=1e-12)


ONE_CYCLES = [
    {"pct_start": pct, "anneal_strategy": how, "three_phase": three}
    for pct, how, three in itertools.product(
        (0.0, 0.1, 0.3, 0.45, 0.77, 1.0), ("cos", "linear"), (False, True)
    )
] + [{"div_factor": 10.0, "final_div_factor": 3.0}, {}]


@pytest.mark.parametrize("total_steps", [2, 17, 60])
@pytest.mark.parametrize("arguments", ONE_CYCLES)
def test_torch_one_cycle(arguments, total_steps):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    try:
        theirs = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.7, total_steps=total_steps, **arguments
        )
        expected = [theirs.get_last_lr()[0]]
        for _ in range(total_steps - 1):
            optimizer.step()
            theirs.step()
            expected.append(theirs.get_last_lr()[0])
    except ZeroDivisionError:  # torch's, where a phase has no steps
        pytest.skip("torch divides by 0")
    ours = schedules.OneCycle(0.7, total_steps, **arguments)
    np.testing.assert_allclose(ours.rates(0, total_steps), expected, rtol=1e-12)


def test_torch_one_cycle_defaults():
    torch = pytest.importorskip("torch")
    wanted = inspect.signature(torch.optim.lr_scheduler.OneCycleLR).parameters
    for name, parameter in inspect.signature(schedules.OneCycle).parameters.items():
        if name not in ("name", "total_steps"):
            assert parameter.default == wanted[name].default
