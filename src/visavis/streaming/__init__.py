"""Models over time."""
