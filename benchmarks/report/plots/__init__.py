"""The plots of a report, each of which answers the question that is its title.

Every one is a pure function: a name that tells it from the others of a page, results of `benchmarks.analysis` and a
`Style` go in, and a tuple of `Plot` comes out: several where it goes over pages, none where there is nothing to show.
The same results give the same bytes.
"""
