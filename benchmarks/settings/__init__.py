"""Settings of a run: model, data, augmentation and training, by dotted path, and the key that follows from them."""
