"""The running process: kept programs, precision, forks, garbage, version."""
