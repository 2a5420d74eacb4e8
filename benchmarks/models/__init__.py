"""Models, new or trained: export with a card, profile, diagnosis."""
