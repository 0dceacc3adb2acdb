"""Back-propagation written out: the graph, the MLP, Jacobian products, checkpointing.

Nothing here is needed to train: networks are differentiated by `jax.grad`, and the tests hold what is
written out here against it.
"""

from dlnotes.autodiff import bptt_by_hand, mlp_backprop
from dlnotes.autodiff.backward_graph import (
    BackwardGraph,
    HessianVector,
    backward_graph,
    hessian_vector_graph,
    operation_counts,
    second_derivatives,
)
from dlnotes.autodiff.checkpointing import recompute_all, recompute_segments, store_all, temporary_bytes
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
from dlnotes.autodiff.immediate_updates import descend_at_once, layer_gradients
from dlnotes.autodiff.jacobian_products import convolution_vjp, matmul_vjp, softmax_vjp
from dlnotes.autodiff.naive import naive_gradient
from dlnotes.autodiff.operations import OPERATIONS, Operation
from dlnotes.autodiff.simplification import Simplified, product_count, simplify
from dlnotes.autodiff.whole_jacobians import (
    Link,
    WholeJacobian,
    convolution_link,
    dense_link,
    elementwise_link,
    softmax_link,
    whole_jacobian,
)

__all__ = [
    "DERIVATIVES",
    "OPERATIONS",
    "BackwardGraph",
    "Gradients",
    "Graph",
    "HessianVector",
    "Link",
    "Node",
    "Operation",
    "Simplified",
    "WholeJacobian",
    "backward",
    "backward_graph",
    "bptt_by_hand",
    "convolution_link",
    "convolution_vjp",
    "dense_link",
    "derivative",
    "descend_at_once",
    "elementwise_link",
    "forward",
    "graph",
    "hessian_vector_graph",
    "layer_gradients",
    "matmul_vjp",
    "mlp_backprop",
    "naive_gradient",
    "operation_counts",
    "product_count",
    "recompute_all",
    "recompute_segments",
    "second_derivatives",
    "simplify",
    "softmax_link",
    "softmax_vjp",
    "store_all",
    "temporary_bytes",
    "value_and_gradients",
    "whole_jacobian",
]
