"""The four points of exclusive or with a real-valued target, as the notes set the problem."""

import numpy as np

from dlnotes import data

POINTS = data.load("xor").train
EXAMPLES = data.Examples(POINTS.x, POINTS.y[:, None].astype(np.float32))
"""``x`` (4, 2) in the notes' order 00, 01, 10, 11; ``y`` (4, 1) is 0, 1, 1, 0."""

NAMES = ["".join(str(int(v)) for v in point) for point in POINTS.x]
