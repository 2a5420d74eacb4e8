"""Statistics: pure functions over tables of runs."""
