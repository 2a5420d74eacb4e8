"""Speed of the runner against plain loops of Keras and PyTorch on the same runs, in one session."""
