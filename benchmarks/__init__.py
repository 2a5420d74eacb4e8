"""The benchmark runner: a suite of ablations, trained on TFDS datasets, stored run by run, reported with intervals."""
