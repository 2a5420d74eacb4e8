"""Search spaces and the ask/tell loop around Keras Tuner.

It imports nothing of `zoo` and `benchmarks`: what to evaluate is handed in as a function.
"""

from tuning.errors import Problem, TuningError
from tuning.hypermodel import hypermodel
from tuning.search import STRATEGIES, Outcome, Search, SearchConfig, Trial, run_search
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
    "run_search",
]
