"""Lambda functions as processes of this machine: the Runtime API, a process behind it, and
LocalStack's executor.
"""

FUNCTIONS_DIRECTORY = "SHOPLAKE_FUNCTIONS_DIRECTORY"
"""The environment variable with the folder of the environments: `<directory>/<function name>/<environment id>/pid`."""
