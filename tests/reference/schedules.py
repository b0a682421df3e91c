"""Learning rate schedules as functions of one step, in double."""

from __future__ import annotations

import math


def constant(step, learning_rate):
    return learning_rate


def _periods(step, decay_steps, staircase):
    return step // decay_steps if staircase else step / decay_steps


def exponential_decay(step, initial_learning_rate, decay_steps, decay_rate, staircase=False):
    return initial_learning_rate * decay_rate ** _periods(step, decay_steps, staircase)


def inverse_time_decay(step, initial_learning_rate, decay_steps, decay_rate, staircase=False):
    return initial_learning_rate / (1 + decay_rate * _periods(step, decay_steps, staircase))


def piecewise_constant_decay(step, boundaries, values):
    return next(
        (value for limit, value in zip(boundaries, values, strict=False) if step <= limit),
        values[-1],
    )


def polynomial_decay(
    step, initial_learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0, cycle=False
):
    if cycle:
        decay_steps *= max(1, -(-step // decay_steps))
    left = 1 - min(step, decay_steps) / decay_steps
    return (initial_learning_rate - end_learning_rate) * left**power + end_learning_rate


def _cosine(passed):
    return (1 + math.cos(math.pi * passed)) / 2


def cosine_decay(
    step, initial_learning_rate, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0
):
    peak = initial_learning_rate
    if warmup_target is not None:
        if step < warmup_steps:
            return peak + (warmup_target - peak) * step / warmup_steps
        peak, step = warmup_target, step - warmup_steps
    return peak * ((1 - alpha) * _cosine(min(step / decay_steps, 1)) + alpha)


def cosine_decay_restarts(
    step, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0
):
    """Walk from period to period; a step within 1e-9 of a restart is one."""
    begin, length, height = 0.0, float(first_decay_steps), 1.0
    while step >= begin + length * (1 - 1e-9):
        begin, length, height = begin + length, length * t_mul, height * m_mul
    passed = max(step - begin, 0.0) / length
    return initial_learning_rate * ((1 - alpha) * height * _cosine(passed) + alpha)


def one_cycle(
    step,
    max_lr,
    total_steps,
    pct_start=0.3,
    anneal_strategy="cos",
    div_factor=25.0,
    final_div_factor=1e4,
    three_phase=False,
):
    first = max_lr / div_factor
    top = pct_start * total_steps - 1
    phases = [(0.0, top, first, max_lr), (top, total_steps - 1, max_lr, first / final_div_factor)]
    if three_phase:
        phases[1:] = [
            (top, 2 * top, max_lr, first),
            (2 * top, total_steps - 1, first, first / final_div_factor),
        ]
    step = min(step, total_steps - 1)
    begin, end, start, goal = next((p for p in phases if step <= p[1]), phases[-1])
    passed = (step - begin) / (end - begin) if end > begin else 1.0
    if anneal_strategy == "cos":
        return goal + (start - goal) * _cosine(passed)
    return start + (goal - start) * passed


def linear_warmup(step, target, warmup_steps, start=0.0):
    """``target`` is a function of the step."""
    if step < warmup_steps:
        return start + (target(0) - start) * step / warmup_steps
    return target(step - warmup_steps)
