"""What runs and models are examined by: check, lint, certify."""
