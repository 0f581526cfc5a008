"""Starts, recognises and ends the processes of a local cloud."""
