"""From a model to its log-density and score: check, then lower."""
