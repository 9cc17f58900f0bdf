"""Samplers of discrete variables alone: by conditionals, by first differences, by clusters."""
