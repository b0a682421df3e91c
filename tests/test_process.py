"""Signals, forks, threads and environment: onepass as a guest in someone's process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import onepass
from onepass import Input, Sequential, config, utils
from onepass.layers import Dense
from strategies import LINUX, assert_same_bits

SPARSE = "sparse_categorical_crossentropy"
SOURCES = str(Path(onepass.__file__).parent.parent)
linux = pytest.mark.skipif(not LINUX, reason="fork and signals as on Linux")

# What the scripts below share: a model whose steps are worth a team of threads.
PRELUDE = """
import hashlib, json, os, sys, time
import numpy as np
from onepass import Input, Sequential, config, optimizers, utils
from onepass.layers import Dense

def make(seed=1):
    utils.set_random_seed(seed)
    model = Sequential([Input((64,)), Dense(150, "relu"), Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model

def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(640, 64)).astype(np.float32), rng.integers(0, 10, 640)

def digest(model):
    bits = b"".join(w.tobytes() for w in model.get_weights())
    return hashlib.sha256(bits + model.predict(data()[0]).tobytes()).hexdigest()

def trained(epochs=2):
    model = make()
    model.fit(*data(), batch_size=64, epochs=epochs, verbose=0)
    return digest(model)

def say(**what):
    print(json.dumps(what), flush=True)
"""


def environment(**variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ONEPASS_", "OMP_"))}
    path = os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **variables}


def start(script, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )


def finish(process, timeout=60):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"the process hangs; so far: {out}{err}")
    return out, err


def run(script, **variables):
    """Run a script; return what it said."""
    process = start(script, **variables)
    out, err = finish(process)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def own_model():
    utils.set_random_seed(1)
    model = Sequential([Input((64,)), Dense(150, "relu"), Dense(10, "softmax")])
    model.compile("adam", SPARSE)
    return model


def own_data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(640, 64)).astype(np.float32), rng.integers(0, 10, 640)


# Signals

INTERRUPTED = """
rows = 10_000_000
x = np.broadcast_to(data()[0][:1], (rows, 64))  # one sample, as often as one likes
y = np.broadcast_to(np.float32([[0.3]]), (rows, 1))

def regression():
    utils.set_random_seed(1)
    model = Sequential([Input((64,)), Dense(WIDTH, "tanh"), Dense(1)])
    model.compile("adam", "mse")
    return model

def fit(model, **arguments):
    model.fit(x, y, batch_size=32, shuffle=False, verbose=VERBOSE, **arguments)

model, again = regression(), regression()
rounds = 0
while rounds < 3:
    before = model.optimizer.iterations
    try:
        say(ready=True)
        fit(model, epochs=1000)
    except KeyboardInterrupt:
        at = time.monotonic()
    steps = model.optimizer.iterations - before
    if steps == 0:
        continue  # struck before the first step: on a busy machine it may
    rounds += 1
    fit(again, steps_per_epoch=steps)
    same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))
    finite = all(np.isfinite(w).all() for w in model.get_weights())
    say(at=at, steps=steps, same=same, finite=finite)
"""


@linux
@pytest.mark.parametrize(("width", "verbose"), [(8, 0), (8, 1), (300, 0)])
def test_ctrl_c_ends_training_soon_and_leaves_whole_steps(width, verbose):
    script = INTERRUPTED.replace("WIDTH", str(width)).replace("VERBOSE", str(verbose))
    process = start(script, ONEPASS_NUM_THREADS="2")
    assert process.stdout is not None
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    delays, told = [], []
    for line in process.stdout:
        if not line.startswith("{"):
            continue  # a progress bar
        said = json.loads(line[line.index("{") :])
        if "ready" in said:
            time.sleep(0.3)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
        else:
            delays.append(said["at"] - sent)
            told.append(said)
    _, err = finish(process)
    watchdog.cancel()
    assert process.returncode == 0, err
    assert len(told) == 3
    print(f"KeyboardInterrupt after {', '.join(f'{d * 1e3:.0f} ms' for d in delays)}")
    assert max(delays) < 10.0  # typically 0.05: this bound only tells an epoch's end from a stop
    assert all(said["finite"] for said in told)
    assert all(said["same"] for said in told), "the weights hold another number of steps"


LONG_STEPS = """
import signal

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, stop)
rng = np.random.default_rng(0)
x = rng.normal(size=(2048, 1024)).astype(np.float32)
y = rng.normal(size=(2048, 512)).astype(np.float32)

def large():
    utils.set_random_seed(1)
    model = Sequential([Input((1024,)), Dense(2048, "relu"), Dense(2048, "relu"), Dense(512)])
    model.compile("adam", "mse")
    return model

model, again = large(), large()
for delay in (0.31, 0.27, 0.43):  # into the middle of steps of about 50 ms
    before = model.optimizer.iterations
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        model.fit(x, y, batch_size=512, shuffle=False, epochs=1000, verbose=0)
    except KeyboardInterrupt:
        pass
    steps = model.optimizer.iterations - before
    if steps:
        again.fit(x, y, batch_size=512, shuffle=False, steps_per_epoch=steps, verbose=0)
    same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))
    say(same=same, steps=steps)
"""


@linux
@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_interrupt_within_a_long_step_undoes_that_step(threads):
    told = run(LONG_STEPS, ONEPASS_NUM_THREADS=threads)
    assert len(told) == 3
    assert all(said["same"] for said in told), "the weights hold a part of a step"


INTERRUPTED_LINES = """
class Interrupt:
    # Raises KeyboardInterrupt at the n-th line of what stands around the native calls.
    FILES = "replay.py", "optimizer.py", "rate.py", "fitting.py"

    def __init__(self, n):
        self.left = n

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.endswith(self.FILES):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

x, y = np.ones((6, 1), np.float32), np.full((6, 1), -1e6, np.float32)
model = Sequential([Input((1,)), Dense(1, use_bias=False)])
model.compile(optimizers.SGD(1.0), "mae")  # every step takes 1 from the weight
model.fit(x, y, batch_size=2, verbose=0)
model.set_weights([np.zeros((1, 1), np.float32)])
model.optimizer.iterations = 0
line, whole = 0, False
while not whole:
    line += 1
    sys.settrace(Interrupt(line))
    try:
        model.fit(x, y, batch_size=2, verbose=0)
        whole = True
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    assert -model.get_weights()[0].item() == model.optimizer.iterations, line
say(lines=line, steps=model.optimizer.iterations)
"""


def test_an_interrupt_between_any_two_lines_leaves_the_count_of_steps_right():
    (told,) = run(INTERRUPTED_LINES)
    assert told["lines"] > 30
    assert told["steps"] > 3  # the last fit's: some of the others had done theirs, too


LONG_PREDICTIONS = """
import signal

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, stop)
blocks = Sequential([Input((256,)), Dense(512, "relu"), Dense(10)]), 2_000_000
steps = Sequential([Input((1024,)), Dense(2048, "relu"), Dense(2048, "relu"), Dense(8)]), 50_000
for model, rows in (blocks, steps):
    row = np.ones((1, *model.input_shape[1:]), np.float32)
    alone = model.predict(row)
    x = np.broadcast_to(row, (rows, row.shape[1]))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    start = time.perf_counter()
    try:
        model.predict(x)
        say(interrupted=False, same=False)
    except KeyboardInterrupt:
        delay = time.perf_counter() - start - 0.2
        say(interrupted=True, delay=delay, same=bool((model.predict(x[:300]) == alone).all()))
"""


@linux
@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_ends_a_long_prediction(threads):
    told = run(LONG_PREDICTIONS, ONEPASS_NUM_THREADS=threads)
    assert len(told) == 2
    assert all(said["interrupted"] and said["same"] for said in told)
    delays = [said["delay"] for said in told]
    print(f"KeyboardInterrupt after {', '.join(f'{d * 1e3:.0f} ms' for d in delays)}")
    assert max(delays) < 10.0  # typically 0.05


# Forks

FORKED = """
import multiprocessing
context = multiprocessing.get_context("fork")

def child(pipe, depth):
    results = [trained()]
    if depth:
        results += in_child(depth - 1)
    pipe.send(results)
    pipe.close()

def in_child(depth):
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(theirs, depth))
    process.start()
    assert ours.poll(40), "the child hangs"
    results = ours.recv()
    process.join(10)
    assert process.exitcode == 0, process.exitcode
    return results
"""


@linux
def test_children_and_grandchildren_train_the_same_bits():
    script = """
    first = trained()
    results = in_child(2)
    say(first=first, children=results, after=trained(), threads=config.threads())
    """
    (said,) = run(FORKED + textwrap.dedent(script), ONEPASS_NUM_THREADS="2")
    assert said["threads"] == 2
    assert len(said["children"]) == 3
    assert set(said["children"]) == {said["first"]} == {said["after"]}


@linux
def test_a_model_from_before_the_fork_goes_on_in_the_child():
    script = """
    model = make()
    model.fit(*data(), batch_size=64, verbose=0, shuffle=False)

    def go_on(pipe, depth):
        model.fit(*data(), batch_size=64, verbose=0, shuffle=False)
        pipe.send([digest(model)])

    child = go_on
    before = digest(model)
    (theirs,) = in_child(0)
    unchanged = digest(model) == before
    model.fit(*data(), batch_size=64, verbose=0, shuffle=False)
    say(theirs=theirs, ours=digest(model), unchanged=unchanged)
    """
    (said,) = run(FORKED + textwrap.dedent(script), ONEPASS_NUM_THREADS="2")
    assert said["unchanged"]
    assert said["theirs"] == said["ours"]


@linux
def test_forks_in_the_middle_of_training():
    script = """
    import threading
    expected = trained()
    stop = False

    def train_on():
        model = make(7)
        while not stop:
            model.fit(*data(), batch_size=64, verbose=0)

    thread = threading.Thread(target=train_on)
    thread.start()
    results = [in_child(0)[0] for _ in range(5)]
    stop = True
    thread.join(20)
    say(same=[r == expected for r in results], alive=thread.is_alive())
    """
    (said,) = run(FORKED + textwrap.dedent(script), ONEPASS_NUM_THREADS="2")
    assert said == {"same": [True] * 5, "alive": False}


# Loops of calls that are worth awake helpers, but not worth waking them: the loop wakes them

LOOPS = """
from onepass import kernels
x, w = (np.random.default_rng(k).normal(size=(64, 64)).astype(np.float32) for k in (0, 1))

def results(calls, threads=None):
    found = set()
    for k in range(calls):
        if threads is not None:
            config.set_threads(threads[k // 12 % len(threads)])
        found.add(kernels.dense_forward(x, w).tobytes())
        found.add(kernels.dense_backward_input(x, w.T.copy()).tobytes())
    return found
"""


@linux
@pytest.mark.parametrize("threads", [[2], [3], [1, 2, 3, 2], [2, 1]])
def test_a_loop_of_small_calls_gives_the_results_of_one_thread(threads):
    script = f"""
    alone = results(1, [1])
    looped = [results(400, {threads}) for _ in range(3)]
    say(same=[found == alone for found in looped])
    """
    assert run(LOOPS + textwrap.dedent(script)) == [{"same": [True] * 3}]


TAKING_PART = """
from pathlib import Path
from onepass import _core
tasks = lambda: {t.name for t in Path("/proc/self/task").iterdir()}

def seconds(names):
    spent = [Path("/proc/self/task", n, "schedstat").read_text().split()[0] for n in names]
    return sum(map(int, spent)) / 1e9

def take_part(helpers, call, within=60):
    # Whether they do in a loop of calls; the system may give them no core for a while.
    most, end = 0.0, time.monotonic() + within
    while most < 0.3 and time.monotonic() < end:  # of the caller's time; spinning alone is 0.1
        start, own = seconds(helpers), time.thread_time()
        for _ in range(100):
            call()
        most = max(most, (seconds(helpers) - start) / (time.thread_time() - own))
    return most >= 0.3
"""


@linux
def test_helpers_take_part_in_a_loop_of_calls_longer_than_they_wait():
    """A call that takes longer alone than helpers spin is no reason to let them sleep."""
    script = """
    rows, w = (np.random.default_rng(k).normal(size=s).astype(np.float32)
               for k, s in enumerate([(2048, 784), (784, 300)]))

    def taken(n):
        start = time.perf_counter()
        kernels.dense_forward(rows[:n], w)
        return time.perf_counter() - start

    config.set_threads(1)
    alone = min(taken(64) for _ in range(50))
    big = rows[: max(8, int(64 * 250e-6 / alone))], w  # a call of 250 us
    before = tasks()
    config.set_threads(2)
    _core.set_team_thresholds(0, 1e18)  # no call alone is worth waking anyone
    kernels.dense_forward(*big)
    helpers = tasks() - before
    say(helpers=len(helpers), took_part=take_part(helpers, lambda: kernels.dense_forward(*big)))
    """
    script = LOOPS + TAKING_PART + textwrap.dedent(script)
    assert run(script) == [{"helpers": 1, "took_part": True}]


@linux
def test_helpers_take_part_in_a_loop_of_predictions_of_one_row():
    """Few multiply-adds, but many weights to read; not of what is soon done or waits too often."""
    script = """
    from onepass import Input, Sequential, layers
    config.set_threads(2)
    before = tasks()
    kernels.dense_forward(np.ones((256, 784), np.float32), np.ones((784, 300), np.float32))
    helpers = tasks() - before

    def taken(within, *of):
        model = Sequential(of)
        row = np.ones((1, *model.input_shape[1:]), np.float32)
        return take_part(helpers, lambda: model.predict(row), within)

    deep = [layers.Dense(64, "relu") for _ in range(25)]
    say(helpers=len(helpers),
        large=taken(25, Input((784,)), layers.Dense(300, "relu"), layers.Dense(100)),
        middling=taken(25, Input((784,)), layers.Dense(150, "relu"), layers.Dense(50)),
        small=taken(1, Input((784,)), layers.Dense(100, "relu"), layers.Dense(10)),
        many_waits=taken(1, Input((64,)), *deep),
        table=taken(1, Input((1,)), layers.Rescaling(1.0), layers.Embedding(200_000, 8)))
    """
    script = LOOPS + TAKING_PART + textwrap.dedent(script)
    alone = dict.fromkeys(("small", "many_waits", "table"), False)
    assert run(script) == [{"helpers": 1, "large": True, "middling": True, **alone}]


@linux
@pytest.mark.parametrize("cores", [None, 1])
def test_helpers_may_run_where_they_might_before_they_were_woken(cores):
    script = f"""
    from onepass import _core
    if {cores}:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])
    before = set(os.listdir("/proc/self/task"))
    _core.set_team_thresholds(0, 0)  # every call wakes them
    same = [results(1, [1]) == results(1, [3])]
    helpers = [int(name) for name in set(os.listdir("/proc/self/task")) - before]
    for k in range(20):
        time.sleep(0.002)  # they sleep again
        same.append(results(1) == results(1, [1]))
        config.set_threads(3)
    say(same=all(same), helpers=len(helpers),
        anywhere=all(os.sched_getaffinity(h) == os.sched_getaffinity(0) for h in helpers))
    """
    assert run(LOOPS + textwrap.dedent(script)) == [{"same": True, "helpers": 2, "anywhere": True}]


@linux
def test_loops_of_small_calls_in_several_threads():
    script = """
    from concurrent.futures import ThreadPoolExecutor
    alone = results(1, [1])
    with ThreadPoolExecutor(3) as pool:
        threads = [[2], [2, 3], None]
        looped = list(pool.map(lambda given: results(300, given), threads))
    say(same=[found == alone for found in looped])
    """
    assert run(LOOPS + textwrap.dedent(script)) == [{"same": [True] * 3}]


@linux
def test_forks_in_the_middle_of_a_loop_of_small_calls():
    script = """
    def go_on(pipe, depth):
        pipe.send([results(200) == alone])

    child = go_on
    alone = results(1, [1])
    config.set_threads(3)
    same = []
    for calls in (1, 7, 8, 9, 40):
        results(calls)
        same += in_child(0)
        same.append(results(calls) == alone)
    say(same=same)
    """
    assert run(FORKED + LOOPS + textwrap.dedent(script)) == [{"same": [True] * 10}]


# Threads of the caller


def trained_weights(seed):
    model = Sequential([Input((64,)), Dense(150, "relu"), Dense(10, "softmax")])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.1, v.shape) for v in model.variables])
    model.compile("adam", SPARSE)
    model.fit(*own_data(seed), batch_size=64, epochs=4, shuffle=False, verbose=0)
    return model.get_weights()


def test_models_trained_in_threads_equal_those_trained_alone():
    config.set_threads(2)
    alone = [trained_weights(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(trained_weights, range(3), timeout=60))
    assert_same_bits(alone, together)


def test_one_model_predicts_in_several_threads():
    config.set_threads(2)
    model = own_model()
    x, y = own_data()
    expected, value = model.predict(x), model.evaluate(x, y)
    parts = [slice(0, None), slice(0, 100), slice(5, 6), slice(300, 640)] * 20

    def work(part):
        return model.predict(x[part], batch_size=50), model.evaluate(x, y, batch_size=640)

    with ThreadPoolExecutor(4) as pool:
        for part, (got, _) in zip(parts, pool.map(work, parts, timeout=60), strict=True):
            assert_same_bits(got, expected[part])
        for _, got_value in pool.map(work, parts[:8], timeout=60):
            assert got_value == pytest.approx(value, rel=1e-12)


def test_the_number_of_threads_may_change_between_calls():
    x, y = own_data()
    changing, steady = own_model(), own_model()
    config.set_threads(1)
    for model in (changing, steady):
        for threads in (1, 2, 3, 1, 8, 2):
            if model is changing:
                config.set_threads(threads)
                assert config.threads() == threads
            model.fit(x, y, batch_size=64, shuffle=False, verbose=0)
        config.set_threads(1)
    assert_same_bits(changing.get_weights(), steady.get_weights())


# The environment

REPORT = "say(threads=config.threads(), isa=config.isa(), digest=trained(1))"


@pytest.fixture(scope="module")
def usual():
    (said,) = run(REPORT)
    return said


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ONEPASS_NUM_THREADS": "1"}, 1),
        ({"ONEPASS_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"ONEPASS_NUM_THREADS": "1", "OMP_NUM_THREADS": "4"}, 1),
        ({"ONEPASS_NUM_THREADS": "", "OMP_NUM_THREADS": ""}, None),
    ],
)
def test_variables_of_threads(usual, variables, expected):
    (said,) = run(REPORT, **variables)
    assert said == {**usual, "threads": expected or usual["threads"]}


@pytest.mark.parametrize("isa", config.available_isas())
def test_variable_of_the_instruction_set(isa):
    (said,) = run(REPORT, ONEPASS_ISA=isa)
    assert said["isa"] == isa


@pytest.mark.parametrize(
    "variables",
    [
        {"ONEPASS_NUM_THREADS": "0"},
        {"ONEPASS_NUM_THREADS": "-2"},
        {"ONEPASS_NUM_THREADS": "many"},
        {"ONEPASS_NUM_THREADS": "2.5"},
        {"ONEPASS_NUM_THREADS": "2,2"},
        {"ONEPASS_NUM_THREADS": "99999999999999999999"},
        {"OMP_NUM_THREADS": "none"},
        {"ONEPASS_ISA": "sse9"},
    ],
)
def test_bad_variables_are_named(variables):
    ((name, value),) = variables.items()
    script = """
    try:
        trained(1)
    except ValueError as error:
        say(error=str(error))
    """
    (said,) = run(script, **variables)
    assert name in said["error"]
    assert value in said["error"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_threads_follow_the_affinity():
    cores = sorted(os.sched_getaffinity(0))
    script = f"os.sched_setaffinity(0, {{{cores[0]}}})\nsay(threads=config.threads())"
    assert run(script) == [{"threads": 1}]


# Idleness and company


def test_helpers_sleep_when_there_is_nothing_to_do():
    script = """
    trained()
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(1.0)
    say(seconds=time.process_time() - before)
    """
    (said,) = run(script, ONEPASS_NUM_THREADS="4")
    assert said["seconds"] < 0.05


def test_importing_starts_no_threads():
    script = """
    import threading
    tasks = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else [0]
    say(tasks=len(tasks), python=threading.active_count())
    """
    (said,) = run(script, OPENBLAS_NUM_THREADS="1")  # NumPy's own
    assert said == {"tasks": 1, "python": 1}


def test_beside_torch_in_one_process():
    pytest.importorskip("torch")
    script = """
    import torch
    expected = trained()
    a = torch.randn(500, 500)
    same = []
    for _ in range(10):
        for _ in range(5):
            b = a @ a
        same.append(trained() == expected)
    say(same=all(same), finite=bool(torch.isfinite(b).all()))
    """
    assert run(script, ONEPASS_NUM_THREADS="2") == [{"same": True, "finite": True}]


def test_the_process_ends_while_helpers_are_awake():
    process = start("trained()\nsay(done=True)", ONEPASS_NUM_THREADS="4")
    out, err = finish(process, 30)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out) == {"done": True}


def test_the_callers_floating_point_mode_is_restored():
    own_model().fit(*own_data(), batch_size=64, verbose=0)
    assert np.float32(1e-40) * np.float32(1) != 0
    assert np.float32(1e-20) * np.float32(1e-20) != 0
