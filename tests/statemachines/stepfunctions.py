"""Starts LocalStack with two patches of its mocks (4.8.1) for a state machine that retries jobs.

- A mock cannot throw an error that begins with `States.`. A failed `.sync` job throws one
  (`States.TaskFailed`), on AWS and in LocalStack, and so does a timeout (`States.Timeout`).
- A mock selects a state's result by the retrier's attempt, so a state that is entered again would
  get its first result again.
"""

from __future__ import annotations

from localstack.runtime.main import main
from localstack.services.stepfunctions.asl.component.common.error_name import (
    states_error_name_type,
)
from localstack.services.stepfunctions.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from localstack.services.stepfunctions.asl.component.common.error_name.error_name import ErrorName
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import (
    mock_eval_utils,
)
from localstack.services.stepfunctions.asl.eval.environment import Environment
from localstack.services.stepfunctions.mocking.mock_config import MockedResponse


def error_name(name: str) -> ErrorName:
    """Returns a standard or a custom error name."""
    standard = {kind.to_name() for kind in states_error_name_type.StatesErrorNameType}
    return StatesErrorName.from_name(name) if name in standard else CustomErrorName(name)


def next_answer(environment: Environment) -> MockedResponse:
    """Returns the next unused result: each execution has its own results."""
    answers = environment.mock_test_case.state_mocked_responses[
        environment.next_state_name
    ].mocked_responses
    if not answers:
        raise RuntimeError(
            f"the state {environment.next_state_name} has more attempts than mocked results"
        )
    return answers.pop(0)


if __name__ == "__main__":
    mock_eval_utils.CustomErrorName = error_name
    Environment.get_current_mocked_response = next_answer
    main()
