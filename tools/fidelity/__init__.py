"""Fidelity: what this project computes beside the arithmetic of its sources, in double precision."""
