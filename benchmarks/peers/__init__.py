"""How a peer does it, written plainly by us: the slow side of a ratio, and an oracle for tests."""
