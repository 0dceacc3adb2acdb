"""Back-propagation written out: the graph, the MLP, Jacobian products, checkpointing.

Nothing here is needed to train: networks are differentiated by `jax.grad`, and the tests hold what is
written out here against it.
"""

from dlnotes.autodiff.checkpointing import recompute_all, recompute_segments, store_all
from dlnotes.autodiff.computational_graph import (
    Gradients,
    Graph,
    Node,
    backward,
    forward,
    graph,
    value_and_gradients,
)
from dlnotes.autodiff.derivatives import DERIVATIVES, derivative
from dlnotes.autodiff.naive import naive_gradient
from dlnotes.autodiff.operations import OPERATIONS, Operation

__all__ = [
    "DERIVATIVES",
    "OPERATIONS",
    "Gradients",
    "Graph",
    "Node",
    "Operation",
    "backward",
    "derivative",
    "forward",
    "graph",
    "naive_gradient",
    "recompute_all",
    "recompute_segments",
    "store_all",
    "value_and_gradients",
]
