"""Boring methods that a network should be ahead of, fitted on its training part and answering in its form.

The most frequent class or the mean, linear models, extra and boosted trees, nearest neighbors, n-grams,
persistence, linear autoregression.
"""

from dlnotes.analysis.baselines.baseline import QUICK, WHOLE, Baseline, Effort, Fitting, drawn
from dlnotes.analysis.baselines.choose import baselines_of
from dlnotes.analysis.baselines.fitting import Answered, answers

__all__ = ["QUICK", "WHOLE", "Answered", "Baseline", "Effort", "Fitting", "answers", "baselines_of", "drawn"]
