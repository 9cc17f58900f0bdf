"""What approximations share: climbing to a mode, Gaussian families, the fit of a Gaussian, labels."""
