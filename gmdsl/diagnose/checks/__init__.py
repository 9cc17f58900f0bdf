"""What `gm.check` looks at, one check a file."""
