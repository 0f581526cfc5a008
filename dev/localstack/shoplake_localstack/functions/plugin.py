"""Entry point by which LocalStack finds the executor (`LAMBDA_RUNTIME_EXECUTOR=process`)."""

from typing import Any

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    """Imports the executor on demand, because LocalStack resolves every plugin at its start."""

    name = "process"

    def load(self, *args: Any, **kwargs: Any) -> type:
        """Returns the class of the executor."""
        from .executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
