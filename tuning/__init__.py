"""Search spaces and the ask/tell loop around Keras Tuner.

It imports nothing of `zoo` and `benchmarks`: what to evaluate is handed in as a function.
"""
