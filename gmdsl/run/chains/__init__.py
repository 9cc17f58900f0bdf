"""The driver of Markov chains: starts, warm-up, the compiled block, the loop on the host."""
