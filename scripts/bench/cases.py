"""What is measured, and who takes part. Standard library only."""

from __future__ import annotations

from typing import Any

from scripts.bench.networks import Cnn, Mlp, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.spec import BEAMS, BUCKETS, Case

REFERENCE = "torch_eager"

_PEERS = (
    REFERENCE,
    "torch_fused",
    "torch_compile",
    "keras_fit",
    "keras_steps",
    "flax_loop",
    "ours",
)

_CONVOLUTIONAL = (
    REFERENCE,
    "torch_channels_last",
    "torch_compile",
    "flax_loop",
    "ours",
    "ours_steps",
)
"""``ours_steps`` is the same network stepped from a Python loop: what the scan is worth on this machine."""

_RECURRENT = (REFERENCE, "torch_compile", "flax_loop", "ours", "ours_single")
"""``ours`` divides each batch over as many CPU devices as there are cores; ``ours_single`` does not."""

_LONG = (REFERENCE, "torch_denormals", *_RECURRENT[1:])
_DENORMALS = (
    "torch_denormals is torch_eager as PyTorch leaves it, with numbers below 1e-38 computed as they are; "
    "elsewhere they count as 0, as XLA has it. The gradients of this net fade to such numbers."
)

_WRITING = (REFERENCE, "torch_compile", "ours")

_RECURSIVE = (REFERENCE, "torch_levels", "ours", "ours_single", "ours_sequential")
"""``torch_eager`` is recursive, ``torch_levels`` takes all nodes of one height over the batch at once, and
``ours_sequential`` one node of every tree at a time."""

_TREES = (
    "torch_eager computes each tree by recursion, torch_levels all nodes of one height over the batch at "
    "once, with schedules made before the clock starts; ours makes its schedules within the step."
)

_SMALL = Mlp(widths=(64, 32, 10))
_CNN = Cnn(input_shape=(28, 28, 1), channels=(32, 64), dense=128, outputs=10)
_SEQ2SEQ = Seq2Seq(source_steps=20, target_steps=20, vocabulary=40, outputs=40, embedding=64, hidden=128)


def _recurrent(cell: Any, steps: int) -> Recurrent:
    return Recurrent(cell=cell, steps=steps, features=64, hidden=128, outputs=10)


def _trees(leaves: tuple[int, int], shape: Any) -> TreeLstm:
    return TreeLstm(symbols=40, hidden=128, outputs=10, leaves=leaves, shape=shape)


_DENSE_CASES = (
    Case(
        name="xor",
        title="XOR 2-2-1, full batch",
        network=Mlp(widths=(2, 2, 1), activation="tanh"),
        data="xor",
        output="sigmoid",
        batch=4,
        learning_rate=1e-2,
        examples=4,
        unit="steps/s",
        variants=tuple(name for name in _PEERS if name != "keras_steps"),
    ),
    Case(
        name="mlp_small",
        title="MLP 64-32-10, batch 32, digits",
        network=_SMALL,
        data="digits",
        batch=32,
        examples=1792,
        variants=_PEERS,
    ),
    Case(
        name="mlp_large",
        title="MLP 784-512-512-10, batch 128",
        network=Mlp(widths=(784, 512, 512, 10)),
        batch=128,
        examples=20480,
        variants=_PEERS,
    ),
)

_CONVOLUTIONAL_CASES = (
    Case(
        name="cnn",
        title="CNN 28×28, conv32-pool-conv64-pool-128-10, batch 128",
        network=_CNN,
        batch=128,
        examples=8192,
        variants=(REFERENCE, "torch_channels_last", *_PEERS[1:], "ours_steps"),
    ),
    Case(
        name="cnn_32",
        title="the same CNN, batch 32",
        network=_CNN,
        batch=32,
        examples=8192,
        variants=_CONVOLUTIONAL,
    ),
    Case(
        name="cnn_residual",
        title="residual network 32×32×3, blocks of 16, 32 and 64, batch 64",
        network=Staged(
            input_shape=(32, 32, 3),
            channels=(16, 32, 64),
            strides=(1, 2, 2),
            kernel=3,
            outputs=10,
            residual=True,
        ),
        batch=64,
        examples=4096,
        variants=_CONVOLUTIONAL,
    ),
    Case(
        name="cnn_1d",
        title="1-D convolutions, 256 × 9, three of 64 channels, batch 64",
        network=Staged(input_shape=(256, 9), channels=(64, 64, 64), strides=(1, 1, 1), kernel=5, outputs=10),
        batch=64,
        examples=4096,
        variants=tuple(name for name in _CONVOLUTIONAL if name != "torch_channels_last"),
    ),
    Case(
        name="cnn_3d",
        title="3-D convolutions, 16³, 8, 16 and 32 channels, batch 16",
        network=Staged(
            input_shape=(16, 16, 16, 1),
            channels=(8, 16, 32),
            strides=(1, 1, 1),
            kernel=3,
            outputs=10,
            pool=2,
        ),
        batch=16,
        examples=1024,
        variants=_CONVOLUTIONAL,
    ),
    Case(
        name="cnn_pool",
        title="2×2 max-pooling of 28×28×32 after a 1×1 convolution, batch 128",
        network=Staged(input_shape=(28, 28, 32), channels=(32,), strides=(1,), kernel=1, outputs=10, pool=2),
        batch=128,
        examples=1024,
        variants=_CONVOLUTIONAL,
    ),
    Case(
        name="cnn_overlap_pool",
        title="3×3 max-pooling, stride 2, of 28×28×32 after a 1×1 convolution, batch 128",
        network=Staged(
            input_shape=(28, 28, 32),
            channels=(32,),
            strides=(1,),
            kernel=1,
            outputs=10,
            pool=3,
            pool_stride=2,
        ),
        batch=128,
        examples=1024,
        variants=_CONVOLUTIONAL,
    ),
    Case(
        name="cnn_any_size",
        title="answers for 256 square images of 16 to 64 pixels, three convolutions, 2×2 means",
        network=Staged(
            input_shape=(64, 64, 3),
            channels=(16, 32, 64),
            strides=(1, 1, 1),
            kernel=3,
            outputs=10,
            pool=2,
            grid=2,
            any_size=True,
        ),
        task="answer",
        batch=256,
        examples=256,
        variants=(REFERENCE, "torch_by_size", "ours", "ours_padded"),
        note="The forward pass alone, of all images: torch_eager one by one, torch_by_size together those of "
        f"the same size, ours in at most {BUCKETS} padded shapes with masks, ours_padded all in the "
        "largest. Batches are put together, and ours is compiled (a program a shape), before the clock "
        "starts. What is compared are the probabilities of every image.",
    ),
)

_SEQUENCE_CASES = (
    Case(
        name="rnn_64",
        title="plain RNN, 128 units, 64 steps, batch 64",
        network=_recurrent("rnn", 64),
        batch=64,
        examples=2048,
        variants=_RECURRENT,
    ),
    Case(
        name="rnn_512",
        title="plain RNN, 128 units, 512 steps, batch 64",
        network=_recurrent("rnn", 512),
        batch=64,
        examples=512,
        variants=_LONG,
        note=_DENORMALS,
    ),
    Case(
        name="lstm_64",
        title="LSTM, 128 units, 64 steps, batch 64",
        network=_recurrent("lstm", 64),
        batch=64,
        examples=2048,
        variants=_RECURRENT,
    ),
    Case(
        name="lstm_512",
        title="LSTM, 128 units, 512 steps, batch 64",
        network=_recurrent("lstm", 512),
        batch=64,
        examples=512,
        variants=_LONG,
        note=_DENORMALS,
    ),
    Case(
        name="gru_64",
        title="GRU, 128 units, 64 steps, batch 64",
        network=_recurrent("gru", 64),
        batch=64,
        examples=2048,
        variants=_RECURRENT,
    ),
    Case(
        name="attention",
        title="GRU encoder-decoder, additive attention, 128 units, 20 symbols to 20, batch 64",
        network=_SEQ2SEQ,
        batch=64,
        examples=4096,
        variants=tuple(name for name in _RECURRENT if name != "flax_loop"),
        note="Teacher forcing.",
    ),
    Case(
        name="greedy",
        title="the same network writes, the most probable symbol at each step, batch 128",
        network=_SEQ2SEQ,
        task="greedy",
        batch=128,
        examples=128,
        variants=_WRITING,
        note="What is compared are the symbols.",
    ),
    Case(
        name="beam",
        title=f"the same network writes, beam search of width {BEAMS}, batch 128",
        network=_SEQ2SEQ,
        task="beam",
        batch=128,
        examples=128,
        variants=_WRITING,
        note="The beams of a batch are one tensor in both. What is compared are the log-probabilities of the "
        "best beams.",
    ),
)

_TREE_CASES = (
    Case(
        name="tree",
        title="binary Tree-LSTM, 128 units, 64 trees of 10 to 40 leaves",
        network=_trees((10, 40), "anywhere"),
        batch=64,
        examples=1024,
        unit="nodes/s",
        variants=_RECURSIVE,
        note=_TREES,
    ),
    Case(
        name="tree_uneven",
        title="the same, 64 trees: a quarter chains of 200 leaves, else stumps of 3",
        network=_trees((3, 200), "uneven"),
        batch=64,
        examples=1024,
        unit="nodes/s",
        variants=_RECURSIVE,
    ),
)


def _tree_sweep() -> list[Case]:
    """Trees by batch, and by depth at about as many nodes."""

    def swept(*, name: str, title: str, network: TreeLstm, batch: int, sweep: str) -> Case:
        return Case(
            name=name,
            title=title,
            network=network,
            batch=batch,
            examples=max(4 * batch, 256),
            unit="nodes/s",
            variants=("torch_levels", "ours", "ours_sequential"),
            sweep=sweep,
        )

    by_batch = [
        swept(
            name=f"trees_{n}",
            title=f"batch {n}",
            network=_trees((10, 40), "anywhere"),
            batch=n,
            sweep="Trees of 10 to 40 leaves, by batch",
        )
        for n in (8, 32, 128, 512)
    ]
    by_shape = [
        swept(
            name=f"{name}_{n}",
            title=f"{title} of {n} leaves, {depth} levels",
            network=_trees((n, n), shape),
            batch=64,
            sweep="Batches of 64 trees, by shape",
        )
        for name, title, shape, n, depth in (
            ("balanced", "balanced", "halves", 32, 5),
            ("chain", "chains", "chains", 32, 31),
            ("balanced", "balanced", "halves", 256, 8),
            ("cut", "cut anywhere", "anywhere", 256, "about 20"),
            ("chain", "chains", "chains", 256, 255),
        )
    ]
    return by_batch + by_shape


_SEEDS = Case(
    name="seeds32",
    title="32 seeds of the small MLP, batch 32 each",
    network=_SMALL,
    data="digits",
    batch=32,
    examples=1792,
    members=32,
    variants=(REFERENCE, "torch_bmm", "flax_loop", "ours"),
)

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *_DENSE_CASES,
        *_CONVOLUTIONAL_CASES,
        *_SEQUENCE_CASES,
        *_TREE_CASES,
        *_tree_sweep(),
        _SEEDS,
    )
}
"""By name, in the order of the report."""

VARIANTS = tuple(dict.fromkeys(name for case in CASES.values() for name in case.variants))
"""Everyone who takes part in some case."""
