"""Callbacks: which hooks run, in which order, and what the progress display prints."""

import inspect

import pytest

from onepass.callbacks import Callback, CallbackList, History
from onepass.callbacks.progress import Progress

HOOKS = [name for name in dir(Callback) if name.startswith("on_")]
BATCH_HOOKS = [name for name in HOOKS if "batch" in name]


class Model:
    history = None


def recorder(hook, record, name="a"):
    def method(self, *arguments, logs=None):
        record.append((name, hook, *arguments))

    return type("Recorder", (Callback,), {hook: method})()


def arguments_of(hook):
    takes_place = "batch" in hook or "epoch" in hook
    return (3,) if takes_place else ()


def test_hooks_are_those_of_keras():
    stages = ["train", "test", "predict"]
    expected = {f"on_{s}_{when}" for s in stages for when in ("begin", "end")}
    expected |= {f"on_{s}_batch_{when}" for s in stages for when in ("begin", "end")}
    expected |= {f"on_{s}_{when}" for s in ("epoch", "batch") for when in ("begin", "end")}
    assert set(HOOKS) == expected


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_called_in_order_with_its_arguments(hook):
    record = []
    callbacks = CallbackList([recorder(hook, record, "a"), Callback(), recorder(hook, record, "b")])
    getattr(callbacks, hook)(*arguments_of(hook), logs={"loss": 1.0})
    expected = (hook, *arguments_of(hook), {"loss": 1.0})
    assert record == [("a", *expected), ("b", *expected)]


@pytest.mark.parametrize("hook", HOOKS)
def test_logs_are_one_dict_for_all_and_never_none(hook):
    seen = []

    def method(self, *arguments):
        seen.append(arguments[-1])

    kind = type("Kind", (Callback,), {hook: method})
    getattr(CallbackList([kind(), kind()]), hook)(*arguments_of(hook))
    assert seen == [{}, {}]
    assert seen[0] is seen[1]


@pytest.mark.parametrize("hook", HOOKS)
def test_only_overridden_hooks_are_wanted(hook):
    forwarded = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
    callbacks = CallbackList([recorder(hook, [])])
    expected = {hook, forwarded.get(hook, hook)}
    assert {name for name in HOOKS if callbacks.wants(name)} == expected


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("mode", ["train", "test", "predict"])
def test_needs_batches_only_for_batch_hooks_of_the_mode(hook, mode):
    wanted = hook in BATCH_HOOKS and (mode in hook or (mode == "train" and hook.count("_") == 2))
    assert CallbackList([Callback(), recorder(hook, [])]).needs_batches(mode) == wanted
    assert not CallbackList([Callback(), History()]).needs_batches(mode)


def test_train_batch_hooks_forward_to_the_older_names():
    record = []
    callbacks = CallbackList([recorder("on_batch_end", record)])
    callbacks.on_train_batch_end(5, {"loss": 1.0})
    callbacks.on_train_batch_begin(5)
    assert [entry[:3] for entry in record] == [("a", "on_batch_end", 5)]


def test_a_hook_set_on_the_instance_counts():
    seen = []
    callback = Callback()
    callback.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    CallbackList([callback]).on_epoch_end(4)
    assert seen == [4]


def test_model_and_params_reach_every_callback():
    first, late = Callback(), Callback()
    model, params = Model(), {"epochs": 3}
    callbacks = CallbackList([first], model, params)
    callbacks.append(late)
    for callback in (first, late):
        assert callback.model is model
        assert callback.params is params
    assert list(callbacks) == [first, late]
    assert len(callbacks) == 2
    assert callbacks.model is model


def test_one_callback_none_and_a_list_are_accepted():
    one = Callback()
    assert list(CallbackList(one)) == [one]
    assert list(CallbackList()) == []
    assert list(CallbackList(CallbackList([one]))) == [one]
    assert list(CallbackList((one,))) == [one]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([Callback(), print], r"callbacks\[1\] must be a onepass.callbacks.Callback, got builtin"),
        ([History], r"callbacks\[0\] is the class History"),
        (["history"], r"callbacks\[0\]"),
        (3, r"callbacks\[0\].*int"),
        ([None], r"callbacks\[0\].*NoneType"),
    ],
)
def test_what_is_not_a_callback_is_refused(given, words):
    with pytest.raises(TypeError, match=words):
        CallbackList(given)


def test_what_a_hook_adds_to_the_logs_reaches_later_ones_and_the_caller():
    class Adding(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["learning_rate"] = 0.5

    history, logs = History(), {}
    CallbackList([Adding(), history]).on_epoch_end(0, logs)
    assert logs == {"learning_rate": 0.5}
    assert history.history == {"learning_rate": [0.5]}


def test_an_error_in_a_hook_comes_through():
    class Failing(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        CallbackList([Failing()]).on_epoch_end(0)


def test_list_overrides_every_hook_with_the_same_arguments():
    for hook in HOOKS:
        own = getattr(CallbackList, hook)
        assert own is not getattr(Callback, hook)
        assert inspect.signature(own) == inspect.signature(getattr(Callback, hook))


def test_history_keeps_epochs_and_logs():
    history, model = History(), Model()
    callbacks = CallbackList([history], model)
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 2.0})
    callbacks.on_epoch_end(1, {"loss": 1.0, "val_loss": 3.0})
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}
    assert model.history is history


# Progress


def run_epochs(progress, epochs=2):
    for epoch in range(epochs):
        progress.epoch_begin(epoch, epochs, 100)
        progress.advance(40, {"loss": 0.9})
        progress.advance(100, {"loss": 0.7216})
        progress.epoch_end({"loss": 0.7216, "accuracy": 0.7681, "val_loss": 1.5e-5}, 0.0123)


def test_verbose_0_prints_nothing(capsys):
    run_epochs(Progress(0))
    out, err = capsys.readouterr()
    assert out + err == ""


def test_verbose_2_prints_a_line_an_epoch(capsys):
    run_epochs(Progress(2))
    metrics = "loss: 0.7216 - accuracy: 0.7681 - val_loss: 1.5000e-05"
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1/2 - 0.01s - 123us/step - {metrics}",
        f"Epoch 2/2 - 0.01s - 123us/step - {metrics}",
    ]


@pytest.mark.parametrize(
    ("seconds", "steps", "text"),
    [(3.0, 1, "3s/step"), (0.5, 10, "50ms/step"), (0.0, 0, "0us/step"), (1e-3, 4, "250us/step")],
)
def test_time_a_step(capsys, seconds, steps, text):
    progress = Progress(2)
    progress.epoch_begin(0, 1, steps)
    progress.epoch_end({}, seconds)
    assert capsys.readouterr().out == f"Epoch 1/1 - {seconds:.2f}s - {text}\n"


def test_steps_are_counted_where_their_number_was_unknown(capsys):
    progress = Progress(2)
    progress.epoch_begin(0, 1, None)
    progress.advance(50, {})
    progress.epoch_end({}, 0.005)
    assert "100us/step" in capsys.readouterr().out


def test_verbose_1_shows_headers_and_full_bars(capsys):
    run_epochs(Progress(1))
    out, err = capsys.readouterr()
    assert err == ""
    assert "Epoch 1/2\n" in out
    assert "Epoch 2/2\n" in out
    assert out.count("\n") == 4
    last = out.splitlines()[-1].split("\r")[-1]
    assert "100/100" in last
    assert "loss: 0.7216 - accuracy: 0.7681 - val_loss: 1.5000e-05" in last


def test_one_epoch_has_no_header(capsys):
    run_epochs(Progress(1), epochs=1)
    assert "Epoch" not in capsys.readouterr().out


def test_close_in_the_middle_ends_the_line_and_may_be_repeated(capsys):
    progress = Progress(1)
    progress.epoch_begin(0, 1, 10)
    progress.advance(3, {"loss": 1.0})
    progress.close()
    progress.close()
    assert capsys.readouterr().out.endswith("\n")
    progress.advance(4, {"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_the_bar_starts_no_thread():
    import threading

    before = threading.active_count()
    progress = Progress(1)
    progress.epoch_begin(0, 1, 10)
    assert threading.active_count() == before
    progress.close()


@pytest.mark.parametrize("verbose", [3, -1, "auto", None])
def test_unknown_verbosity_is_refused(verbose):
    with pytest.raises(ValueError, match="verbose"):
        Progress(verbose)
