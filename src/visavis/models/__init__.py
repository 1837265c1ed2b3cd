"""One paper, one file. A model is found by its file's name; see `visavis.recipes`."""
