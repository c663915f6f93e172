"""The demo network and its held-out test images; installed as ``neurocore.digits``. See README.md here for sources."""
