"""Augmentation: random changes of the training examples, drawn anew for every batch."""
