"""A speaker to react to, made on the spot: a script, an animated portrait, a synthesised voice."""
