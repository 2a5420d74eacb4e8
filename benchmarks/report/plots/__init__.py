"""The plots of a report, each of which answers the question that is its title.

Every one is a pure function: a name that tells it from the others of a page, results of `benchmarks.analysis` and a
`Style` go in, and a tuple of `Plot` comes out: several where it goes over pages, none where there is nothing to show.
The same results give the same bytes.
"""

from benchmarks.report.plots.claims import claim_metrics, claims_forest
from benchmarks.report.plots.common import Plot
from benchmarks.report.plots.costs import COSTS, pareto_front, time_to_target
from benchmarks.report.plots.curves import curve_limits, learning_curve
from benchmarks.report.plots.factors import heat_map, interaction_plot
from benchmarks.report.plots.forest import forest_plot
from benchmarks.report.plots.importance import importance_bars
from benchmarks.report.plots.precision import precision_plot
from benchmarks.report.plots.ranks import rank_plot
from benchmarks.report.plots.reliability import reliability_diagram
from benchmarks.report.plots.seeds import paired_dots, seed_lines

__all__ = [
    "COSTS",
    "Plot",
    "claim_metrics",
    "claims_forest",
    "curve_limits",
    "forest_plot",
    "heat_map",
    "importance_bars",
    "interaction_plot",
    "learning_curve",
    "paired_dots",
    "pareto_front",
    "precision_plot",
    "rank_plot",
    "reliability_diagram",
    "seed_lines",
    "time_to_target",
]
