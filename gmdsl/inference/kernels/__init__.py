"""What Markov kernels share: the Metropolis rule, metrics, Hamiltonian steps, the No-U-Turn tree."""
