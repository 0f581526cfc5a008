"""Starts LocalStack, with what its mocks (4.8.1) lack for a machine that waits for jobs and tries
them again.

- A mock throws no error that begins with `States.`, but that is how a job that was waited for fails
  (`States.TaskFailed`), on AWS as in LocalStack's own service for Glue, and how a task that is too
  slow does.
- It counts a state's answers by the retrier's attempts, so a state that is entered again would get
  its first answer again.
"""

from __future__ import annotations

from localstack.runtime.main import main
from localstack.services.stepfunctions.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from localstack.services.stepfunctions.asl.component.common.error_name.error_name import ErrorName
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import (
    mock_eval_utils,
)
from localstack.services.stepfunctions.asl.eval.environment import Environment
from localstack.services.stepfunctions.mocking.mock_config import MockedResponse


def error_name(name: str) -> ErrorName:
    """Of either kind."""
    standard = {kind.to_name() for kind in StatesErrorNameType}
    return StatesErrorName.from_name(name) if name in standard else CustomErrorName(name)


def next_answer(environment: Environment) -> MockedResponse:
    """The first that has not been given: every execution has answers of its own."""
    answers = environment.mock_test_case.state_mocked_responses[
        environment.next_state_name
    ].mocked_responses
    if not answers:
        raise RuntimeError(
            f"the state {environment.next_state_name} is tried more often than it has answers"
        )
    return answers.pop(0)


if __name__ == "__main__":
    mock_eval_utils.CustomErrorName = error_name
    Environment.get_current_mocked_response = next_answer
    main()
