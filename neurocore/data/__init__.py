"""Data that neurocore ships: the demo's trained network and its held-out test images."""
