"""What `gm.certify` asks of a sampler, one question a file."""
