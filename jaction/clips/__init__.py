"""Clips: which frames, what is done to them, and the one object that stores both."""
