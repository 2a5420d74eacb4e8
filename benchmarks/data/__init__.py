"""Datasets: where they are, what they hold, how they are split and standardized."""
