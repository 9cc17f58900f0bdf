"""The verbs that run something: sample, resume, fit, predict, log_z."""
