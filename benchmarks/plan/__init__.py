"""What a suite comes to: cells, runs, groups, stacks and looks, and what the store has of them."""
