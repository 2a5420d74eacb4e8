"""Embedded datasets: TFDS builders of data that are generated or that packages bring along; no network needed."""
