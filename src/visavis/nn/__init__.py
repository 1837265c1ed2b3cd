"""Maths without faces: blocks, distributions and losses that more than one model needs."""
