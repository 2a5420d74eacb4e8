"""Programs that give evidence of what the project claims; they are not installed."""
