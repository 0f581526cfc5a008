"""Drives the real pipeline in a local cloud: builds, deploys, feeds and observes it. The demo and
the end-to-end tests use it.
"""
