"""An epoch of a denoising autoencoder: ``python -m scripts.bench.denoising_epoch``.

784-500-784, tied weights, sigmoids, cross-entropy, 30% of the inputs masked, plain descent on batches of 100
of 20,000 rows, all random bits drawn. Compared are ours; PyTorch as its users write it, with its gradients
and its optimizer, eager or compiled (which needs a C++ compiler); and as one writes it for speed, with
gradients by hand, products added to the weights in place and no cost. How: `scripts.bench.epochs`.

PyTorch may be in another folder: ``--torch PATH`` is put before its process's PYTHONPATH.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

from scripts.bench import epochs
from scripts.bench.epochs import BATCH, INPUTS, MANY, MEMBERS, ROWS, UNITS, pixels

RATE, NOISE = 0.1, 0.3


def ours(members: int) -> Callable[[], None]:
    """The library's: products x̃ W, h Wᵀ, δ_z W and the two of the gradient."""
    from dlnotes.pretraining.autoencoder import autoencoder

    return epochs.ours(autoencoder(UNITS, corruption="mask", noise=NOISE, learning_rate=RATE), members)


def torch_gradients(*, compiled: bool = False) -> Callable[[], None]:
    """The module of a tutorial."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]
    from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)

    class Denoising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = nn.Parameter(0.05 * torch.randn(INPUTS, UNITS))
            self.b = nn.Parameter(torch.zeros(INPUTS))
            self.c = nn.Parameter(torch.zeros(UNITS))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen = x * (torch.rand_like(x) >= NOISE)
            h = torch.sigmoid(torch.addmm(self.c, seen, self.W))
            z = torch.addmm(self.b, h, self.W.T)
            return F.binary_cross_entropy_with_logits(z, x, reduction="sum") / BATCH

    x, model = torch.from_numpy(pixels()), Denoising()
    cost = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def epoch() -> None:
        order = torch.randperm(ROWS)
        total = torch.zeros(())
        for i in range(0, ROWS, BATCH):
            optimizer.zero_grad()
            loss = cost(x[order[i : i + BATCH]])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        if not torch.isfinite(total):
            raise RuntimeError("torch: the cost is not finite")

    return epoch


def torch_by_hand() -> Callable[[], None]:
    """No gradients of the library, no cost, everything in place; the squared error is summed."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    x = torch.from_numpy(pixels())
    W = 0.05 * torch.randn(INPUTS, UNITS)
    b, c = torch.zeros(INPUTS), torch.zeros(UNITS)
    drawn, step = torch.empty(BATCH, INPUTS), -RATE / BATCH

    @torch.no_grad()
    def epoch() -> None:
        order = torch.randperm(ROWS)
        total = torch.zeros(())
        for i in range(0, ROWS, BATCH):
            rows = x[order[i : i + BATCH]]
            seen = drawn.bernoulli_(1 - NOISE).mul_(rows)
            h = torch.addmm(c, seen, W).sigmoid_()
            error = torch.addmm(b, h, W.T).sigmoid_().sub_(rows)
            d_a = (error @ W).mul_(h).mul_(1 - h)
            total += error.square().sum() / BATCH
            W.addmm_(seen.T, d_a, alpha=step).addmm_(error.T, h, alpha=step)
            b.add_(error.sum(0), alpha=step)
            c.add_(d_a.sum(0), alpha=step)
        if not torch.isfinite(total):
            raise RuntimeError("torch: the error is not finite")

    return epoch


BENCH = epochs.Bench(
    module="scripts.bench.denoising_epoch",
    title="An epoch of a denoising autoencoder",
    make={
        "ours": lambda: ours(1),
        "torch": torch_gradients,
        "torch by hand": torch_by_hand,
        "torch compiled": lambda: torch_gradients(compiled=True),
        MANY: lambda: ours(MEMBERS),
        "product": epochs.product,
    },
    peers=("torch", "torch by hand", "torch compiled"),
)


if __name__ == "__main__":
    epochs.main(BENCH, __doc__)
