"""What everything stands on, and nothing about models: pytrees, random numbers, traced programs, runtime."""
