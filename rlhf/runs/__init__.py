"""A run's folder: settings, provenance, metrics, samples, checkpoints; and the console, the library's only voice."""
