"""What estimates the clean point: in closed form for mixtures and data sets, else by a network."""
