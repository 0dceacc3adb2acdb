"""An epoch of a restricted Boltzmann machine: ``python -m scripts.bench.rbm_epoch``.

784-500, batches of 100 of 20,000 rows, one Gibbs step in each update, all random bits drawn: ours (CD-1),
PyTorch (CD-1, updates in place) and scikit-learn's BernoulliRBM (PCD-1, as many products). How
they are measured: `scripts.bench.epochs`.

PyTorch may be in another folder: ``--torch PATH`` is put before its process's PYTHONPATH.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

from scripts.bench import epochs
from scripts.bench.epochs import BATCH, INPUTS, MANY, MEMBERS, ROWS, UNITS, pixels

RATE, MOMENTUM, DECAY = 0.05, 0.9, 2e-4


def ours(members: int) -> Callable[[], None]:
    """The library's: products v₀ W, h Wᵀ, v₁ W and the two of the statistics."""
    from dlnotes.pretraining.rbm_learner import rbm

    return epochs.ours(
        rbm(UNITS, learning_rate=RATE, momentum=MOMENTUM, final_momentum=MOMENTUM, weight_decay=DECAY),
        members,
    )


def torch_epoch() -> Callable[[], None]:
    """CD-1 as one writes it for speed: no gradients, products added to the velocity in place."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    x = torch.from_numpy(pixels())
    W = 0.01 * torch.randn(INPUTS, UNITS)
    b, c = torch.zeros(INPUTS), torch.zeros(UNITS)
    dW, db, dc = (torch.zeros_like(p) for p in (W, b, c))
    v0, v1 = torch.empty(BATCH, INPUTS), torch.empty(BATCH, INPUTS)
    h = torch.empty(BATCH, UNITS)

    @torch.no_grad()
    def epoch() -> None:
        order = torch.randperm(ROWS)
        error = torch.zeros(())
        for i in range(0, ROWS, BATCH):
            rows = x[order[i : i + BATCH]]
            torch.bernoulli(rows, out=v0)
            p0 = torch.addmm(c, v0, W).sigmoid_()
            torch.bernoulli(p0, out=h)
            means = torch.addmm(b, h, W.T).sigmoid_()
            torch.bernoulli(means, out=v1)
            p1 = torch.addmm(c, v1, W).sigmoid_()
            dW.mul_(MOMENTUM).add_(W, alpha=-RATE * DECAY)
            dW.addmm_(v0.T, p0, alpha=RATE / BATCH).addmm_(v1.T, p1, alpha=-RATE / BATCH)
            db.mul_(MOMENTUM).add_((v0 - v1).mean(0), alpha=RATE)
            dc.mul_(MOMENTUM).add_((p0 - p1).mean(0), alpha=RATE)
            W.add_(dW)
            b.add_(db)
            c.add_(dc)
            error += (rows - means).square().sum() / BATCH
        if not torch.isfinite(W).all() or not error < 1e6 * ROWS:
            raise RuntimeError("torch: the weights are not finite")

    return epoch


def sklearn_epoch() -> Callable[[], None]:
    """``fit`` of one iteration; it takes the rows in order and has neither momentum nor decay."""
    from sklearn.neural_network import BernoulliRBM

    x = pixels()
    machine = BernoulliRBM(n_components=UNITS, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0)

    def epoch() -> None:
        machine.fit(x)

    return epoch


BENCH = epochs.Bench(
    module="scripts.bench.rbm_epoch",
    title="An epoch of a restricted Boltzmann machine",
    make={
        "ours": lambda: ours(1),
        "torch": torch_epoch,
        "scikit-learn": sklearn_epoch,
        MANY: lambda: ours(MEMBERS),
        "product": epochs.product,
    },
    peers=("torch", "scikit-learn"),
)


if __name__ == "__main__":
    epochs.main(BENCH, __doc__)
