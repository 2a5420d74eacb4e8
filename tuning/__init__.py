"""Search spaces and the ask/tell loop around Keras Tuner.

It imports nothing of `zoo` and `benchmarks`: whoever asks what to try trains it, and tells the score.
"""

from tuning.errors import Problem, TuningError
from tuning.hypermodel import hypermodel
from tuning.search import STRATEGIES, Outcome, Search, SearchConfig, Trial
from tuning.space import Space, parse_space

__all__ = [
    "STRATEGIES",
    "Outcome",
    "Problem",
    "Search",
    "SearchConfig",
    "Space",
    "Trial",
    "TuningError",
    "hypermodel",
    "parse_space",
]
