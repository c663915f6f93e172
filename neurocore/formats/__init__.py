"""Other people's file formats: read into chips and spikes, and written back."""
