"""The tools of developers and CI: local cloud, builds, packages, plans, deployments and lint."""
