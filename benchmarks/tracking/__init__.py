"""Writes what is stored for other tools to show: MLflow and TensorBoard. Nothing of it is there while runs train."""
