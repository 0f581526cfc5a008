"""How the processes of a cloud are recognised.

Pids are not enough: a server that is killed hard leaves its children to the system, and nobody
wrote those down.
"""

MARKER = "SHOPLAKE_CLOUD_STATE"
"""In the environment of every process of a cloud, down to its functions; the value is the cloud's state folder."""
