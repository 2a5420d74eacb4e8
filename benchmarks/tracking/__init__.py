"""Trackers: stored runs written for other tools to show, MLflow and TensorBoard. None takes part while runs train."""
