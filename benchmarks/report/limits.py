"""The limits of a report: what it works out, writes and draws at most. Where one cuts something, the report says so."""

MOST_WORK = 20_000_000
"""Interactions times runs, or terms times runs, beyond which a section is left out."""

MOST_COMPARED_CELLS = 400
"""Cells that times to a target, and points beside a Pareto front, are given for."""

IDENTICAL_CELLS = 3
"""Groups of cells with identical results that are told in words."""

MOST_RANKED_CELLS = 12
"""Cells that are ranked over datasets."""

MOST_RELIABILITY_CELLS = 12
"""Cells that have a reliability diagram: the baseline, and then those that differ from it in the fewest factors."""

MOST_RELIABILITY_RUNS = 100
"""Runs of a cell that are read for its diagram, which says how many they were."""

MOST_ENSEMBLES = 60
"""Cells that have an ensemble: the baseline, and then those that differ from it in the fewest factors."""

MOST_MEMBERS = 32
"""Runs of a cell that are members of its ensemble."""

MOST_OUTPUTS_OF_A_CELL = 16_000_000
"""Outputs of all members of an ensemble that are held at once."""

MOST_OUTPUTS = 24_000_000
"""Outputs of all members of all cells of a dataset; where they are more, fewer cells have an ensemble."""

MOST_NOISE_DIFFERENCES = 12
"""Differences from the baseline whose hold on the test examples is looked at."""

MOST_NOISE_PAIRS = 10
"""Pairs of runs of a difference whose outputs are read."""

# Of the tables in a page; the CSV files have all rows.

MOST_CELL_ROWS = 400
MOST_FAILURE_ROWS = 100
MOST_CLAIMS = 100

MOST_EFFECT_ROWS = 30
"""Rows of interactions, importances, times and fronts."""

MOST_GROUP_ROWS = 30
"""Rows of groups that were searched."""

MOST_SETTING_COLUMNS = 8
"""Settings that were chosen."""

MOST_VALUES = 12
"""Seeds whose single values stand in the table of cells."""

MOST_LATEX_ROWS = 40
"""Rows of a LaTeX table that fits a page; longer ones are set as `longtable`."""

# Of the plots.

MOST_PLOTTED_RUNS = 20_000
"""Runs of a dataset beyond which no two factors are plotted: the cells are too many to average in a report's time."""

MOST_FACTOR_PAIRS = 3
"""Pairs of factors that have a plot and a heat map."""

MOST_SEED_PANELS = 12
"""Judgements whose seeds have a panel."""

MOST_SEEDS = 50
"""Seeds that have a line in it."""

MOST_JUDGEMENTS = 12
"""Judgements on one page of the plot of claims."""

MOST_STATEMENT_LINES = 3
"""Lines of a claim's statement in it."""

MOST_MAP_ROWS, MOST_MAP_COLUMNS = 20, 6
"""Levels on one page of a heat map."""

MOST_INTERACTION_LINES, MOST_INTERACTION_PLACES = 4, 8
"""Levels on one page of an interaction plot: of the factor that lines are of, and of the other one."""

MOST_TERMS = 20
"""Factors and interactions that have a bar of their importance."""

MOST_CURVES, MOST_CURVE_PAGES = 4, 3
"""Cells on one page of a plot of times to a target, and pages; where there are more cells, the soonest are shown."""

MOST_NAMED = 8
"""Cells on a front that are named."""

MOST_PRECISION_LINES = 4
"""Differences that have a line of their precision; of more, the middle and the range are shown."""

MOST_RANK_ROWS = 30
"""Candidates that have a row in the plot of ranks."""

MOST_SEARCH_DATASETS = 3
"""Datasets whose search has figures of its own."""

MOST_SEARCH_LINES = 6
"""Groups whose search has a line of its own; of more, the middle and the range are shown."""

MOST_SEARCH_STEPS = 200
"""Steps of the middle of many such lines."""

MOST_ESTIMATE_ROWS, MOST_ESTIMATE_PAGES = 16, 3
"""Rows of one page, and pages of a plot with a row for each group, level or cell."""

MOST_SETTINGS = 8
"""Tuned settings that are plotted."""

MOST_SEARCH_GROUPS = 4
"""Groups that are told apart in a plot of settings, or have one of their own; of more, all are put together."""

MOST_POINTS = 600
"""Trials in one plot, and lines."""
