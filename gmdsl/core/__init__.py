"""The nouns: spaces, factors, models, targets, samplers and adapters. Imports nothing of gmdsl above it."""
