"""Frames, samples and words -> Behaviour; attributes <-> coefficients."""
