"""The one loop, and what it needs: stages, schedules, averages, checkpoints, logs, devices."""
