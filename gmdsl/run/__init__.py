"""Running things: the driver of chains, starts, warm-up, predictive draws."""
