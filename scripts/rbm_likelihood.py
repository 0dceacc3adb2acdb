"""The log-likelihood of a restricted Boltzmann machine on MNIST: ``python scripts/rbm_likelihood.py``.

Machines of 500 hidden units learn the 60,000 digits. Pixels are probabilities of bits, drawn anew at every
step. log Z is estimated by annealed importance sampling; told is the mean log-likelihood of the test images,
whose bits are drawn once, in nats, and what ±3 standard errors of Z make of it.

Published for 500 units: −125.53 with CD-1, −105.50 with CD-3, −86.34 with CD-25 (Salakhutdinov and Murray
2008, «On the quantitative analysis of deep belief networks», table 1). Measured here after 50 epochs:
−118.9 [−119.1, −118.5] with CD-1 and −89.4 [−90.0, −88.3] with persistent chains, in about two minutes each
on two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data
from dlnotes.pretraining import annealed_importance, base_rates, free_energy, rbm, salakhutdinov_betas, train
from dlnotes.pretraining.draws import bits, words


def drawn(x: np.ndarray, seed: int) -> jax.Array:
    """Bits with the pixels' probabilities."""
    p = jnp.asarray(x, jnp.float32)
    return bits(words(jax.random.key(seed), p.shape), p)


def main() -> None:
    """Train, estimate, print one line of JSON for each way of learning."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rate", type=float, help="by default the learner's")
    parser.add_argument("--ways", nargs="+", choices=("cd1", "cd25", "pcd"), default=("cd1", "pcd"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--betas", type=float, default=1.0, help="of the paper's 14,500, as a share")
    given = parser.parse_args()
    whole = data.mnist(validation=0, standardize=False)
    assert whole.test is not None
    x = np.asarray(whole.train.x).reshape(-1, 784)[: given.images]
    train_bits, test_bits = drawn(x, 1), drawn(np.asarray(whole.test.x).reshape(-1, 784), 2)
    for way in given.ways:
        start = time.perf_counter()
        learner = rbm(
            given.units, persistent=way == "pcd", steps=25 if way == "cd25" else 1, learning_rate=given.rate
        )
        trained = train(learner, x, seeds=[given.seed], epochs=given.epochs, batch_size=100)
        params = jax.tree.map(lambda p: jnp.asarray(p[0]), trained.encoder.params)
        learned = time.perf_counter() - start
        found = annealed_importance(
            params, jax.random.key(3), mean=base_rates(train_bits), betas=salakhutdinov_betas(given.betas)
        )
        test, seen = (float(-free_energy(params, v).mean()) for v in (test_bits, train_bits[:10_000]))
        line = {
            "way": way,
            "units": given.units,
            "epochs": given.epochs,
            "test": round(test - float(found.log_z), 2),
            "interval": [round(test - float(z), 2) for z in (found.high, found.low)],
            "train": round(seen - float(found.log_z), 2),
            "log_z": round(float(found.log_z), 2),
            "training_seconds": round(learned),
            "sampling_seconds": round(time.perf_counter() - start - learned),
            "stopped": trained.stopped,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
