"""The processes that make up a local cloud: how they are started, recognised and ended."""
