"""Step Functions that parse each definition once.

For each execution, LocalStack 4.8.1 parses the definition with ANTLR in pure Python, which takes
longer than the rest of a short execution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from localstack.runtime import hooks


@hooks.on_infra_start()
def parse_each_definition_once() -> None:
    """Caches the syntax trees, which are not modified. The program built from a tree has state, so
    each execution builds it.
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
