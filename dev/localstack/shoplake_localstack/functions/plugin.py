"""Entry point by which LocalStack finds the executor (`LAMBDA_RUNTIME_EXECUTOR=process`)."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    """Loads lazily: LocalStack resolves every plugin at its start, needed or not."""

    name = "process"

    def load(self, *args, **kwargs):
        from .executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
