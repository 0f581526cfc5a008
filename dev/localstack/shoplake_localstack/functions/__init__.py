"""Lambda functions as processes of this machine: the Runtime API, the process, and LocalStack's
executor.
"""

FUNCTIONS_DIRECTORY = "SHOPLAKE_FUNCTIONS_DIRECTORY"
"""The environment variable with the folder of all execution environments, each of which has a file
`<directory>/<function name>/<environment id>/pid`.
"""
