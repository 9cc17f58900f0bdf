"""The contract of learning, and what objectives share."""
