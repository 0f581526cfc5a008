"""The environment variable that identifies the processes of a cloud.

A record of process ids is not enough: a killed server leaves children behind that no file lists.
"""

MARKER = "SHOPLAKE_CLOUD_STATE"
"""Set for every process of a cloud, functions included, to the cloud's state folder."""
