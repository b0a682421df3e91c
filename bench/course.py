"""The course's Fashion-MNIST classifier, ours and torch's, side by side: accuracy and seconds.

``python -m bench.course [--epochs 30] [--seeds 5] [--json FILE]``. Both train 784-300-100-10 with
the same recipe (Glorot uniform, zero bias, plain SGD 0.01, batch 32, shuffled), epoch by epoch in
turn, so that both see the same machine. Ends with status 1 if our mean accuracy is lower than
torch's by more than two standard errors of the difference.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import onepass as keras
from onepass.bench.environment import environment

Pair = tuple[np.ndarray, np.ndarray]
Trainer = tuple[Callable[[], None], Callable[[Pair], float]]


def load() -> tuple[Pair, Pair, Pair]:
    """Training, validation and test set as the course makes them: pixels / 255 in float64."""
    (x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    pixels = x / 255.0
    return (pixels[:-5000], y[:-5000]), (pixels[-5000:], y[-5000:]), (x_test / 255.0, y_test)


def ours(seed: int, data: Pair) -> Trainer:
    """Return functions that train an epoch and measure accuracy."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input(shape=[28, 28]),
            keras.layers.Flatten(),
            keras.layers.Dense(300, activation="relu"),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])

    def epoch() -> None:
        model.fit(*data, epochs=1, verbose=0)

    return epoch, lambda pair: float(model.evaluate(*pair, return_dict=True)["accuracy"])


def torchs(seed: int, data: Pair) -> Trainer:
    """Return the same for torch's eager mode."""
    import torch

    torch.manual_seed(seed)
    layers: list[Any] = [torch.nn.Flatten()]
    for i, o in ((784, 300), (300, 100), (100, 10)):
        layer = torch.nn.Linear(i, o)
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        layers += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_of = torch.nn.CrossEntropyLoss()
    x, y = torch.from_numpy(data[0]).float(), torch.from_numpy(data[1]).long()

    def epoch() -> None:
        for rows in torch.split(torch.randperm(len(x)), 32):
            optimizer.zero_grad()
            loss_of(model(x[rows]), y[rows]).backward()
            optimizer.step()

    def accuracy(pair: Pair) -> float:
        with torch.no_grad():
            predicted = model(torch.from_numpy(pair[0]).float()).argmax(1).numpy()
        return float(np.mean(predicted == pair[1]))

    return epoch, accuracy


def compare(name: str, a: list[float], b: list[float]) -> bool:
    """Print two means; whether the first is no worse within two standard errors."""
    difference = statistics.mean(a) - statistics.mean(b)
    variance = sum(statistics.variance(v) / len(v) for v in (a, b)) if len(a) > 1 else 0.0
    error = math.sqrt(variance)
    fine = difference >= -2 * error
    print(
        f"{name}: onepass {statistics.mean(a):.4f}, torch {statistics.mean(b):.4f}, "
        f"difference {difference:+.4f}, standard error {error:.4f}: {'fine' if fine else 'WORSE'}"
    )
    return fine


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    train, validation, test = load()
    result: dict[str, Any] = {
        side: {"validation": [], "best_validation": [], "test": [], "epoch_seconds": []}
        for side in ("onepass", "torch")
    }
    for seed in range(options.seeds):
        sides = {"onepass": ours(seed, train), "torch": torchs(seed, train)}
        best = dict.fromkeys(sides, 0.0)
        for _ in range(options.epochs):
            for side, (epoch, accuracy) in sides.items():
                start = time.perf_counter()
                epoch()
                result[side]["epoch_seconds"].append(time.perf_counter() - start)
                best[side] = max(best[side], accuracy(validation))
        for side, (_, accuracy) in sides.items():
            result[side]["validation"].append(accuracy(validation))
            result[side]["best_validation"].append(best[side])
            result[side]["test"].append(accuracy(test))
            seconds = statistics.median(result[side]["epoch_seconds"])
            print(
                f"seed {seed} {side:8}: validation {result[side]['validation'][-1]:.4f} "
                f"(best {best[side]:.4f}), test {result[side]['test'][-1]:.4f}, "
                f"{seconds:.3f} s an epoch",
                flush=True,
            )
    mine, theirs = result["onepass"], result["torch"]
    fine = [compare(key, mine[key], theirs[key]) for key in ("validation", "test")]
    if options.json:
        facts = {"environment": environment([keras.config.threads()]), **result}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
