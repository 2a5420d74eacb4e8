"""A model, new or trained: export with its card, profile, diagnosis."""
