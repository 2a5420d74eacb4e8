"""TFDS builders of data that other packages bring along: no network needed."""
