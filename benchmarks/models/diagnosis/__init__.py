"""Diagnosis of a network before it is trained: whether its gradients are right, and whether signals arrive."""
