"""Step Functions without parsing a definition anew for each of its executions.

LocalStack 4.8.1 parses with ANTLR in pure Python, which takes longer than all the rest of a short
execution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from localstack.runtime import hooks


@hooks.on_infra_start()
def parse_each_definition_once() -> None:
    """Keeps the syntax trees, which nobody writes to. What is built from a tree has state of its
    own, and is built each time.
    """
    from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser
    from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor

    tree_of = lru_cache(maxsize=64)(
        lambda definition, parse=AmazonStateLanguageParser.parse: parse(definition)[1]
    )

    def parse(definition: str) -> tuple[Any, Any]:
        tree = tree_of(definition)
        return Preprocessor().visit(tree), tree

    AmazonStateLanguageParser.parse = staticmethod(parse)
