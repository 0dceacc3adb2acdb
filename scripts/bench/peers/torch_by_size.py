"""PyTorch eager on images of different sizes, those of the same size in one batch."""
# pyright: reportMissingImports=false

from __future__ import annotations

import numpy as np

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As many batches as there are sizes."""
    _, size = np.unique(data.sizes, axis=0, return_inverse=True)
    groups = [np.flatnonzero(size.reshape(-1) == i) for i in range(size.max() + 1)]
    return common.answers(case, weights, data, groups)
