"""The checks behind `gm.certify`, one per file: each takes the trials of a sampler and gives one row of the table."""
