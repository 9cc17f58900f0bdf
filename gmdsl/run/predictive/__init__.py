"""What follows from draws: predictions, pointwise log-likelihoods, new rows."""
