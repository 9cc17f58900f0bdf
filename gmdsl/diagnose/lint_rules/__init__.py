"""What `gm.lint` looks at before anything is sampled, one rule a file."""
