"""Translates Redshift's SQL into PostgreSQL's.

Drops clauses about storage (distribution, sort keys, encodings), which change no answer. Also drops
primary, unique and foreign keys: Redshift does not enforce them, so a statement that violates one
must succeed here too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from .copy import Copy, parse_copy

# sqlglot warns about each statement that it does not translate.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_NOTHING = "do 'begin end'"
"""A statement that does nothing and returns no rows."""


class SqlError(ValueError):
    """A statement that Redshift rejects before it runs."""


@dataclass(frozen=True)
class Query:
    """SQL for PostgreSQL, with `$1`, `$2`, ... for its parameters."""

    sql: str
    parameters: tuple[str, ...] = ()


def translate(sql: str, parameters: Mapping[str, str] | None = None) -> Query | Copy:
    """Translates one statement. Raises SqlError."""
    parsed = _parse(sql)
    if isinstance(parsed, Copy):
        return parsed
    values = parameters or {}
    if missing := next((name for name in parsed.parameters if name not in values), None):
        raise SqlError(f"expected a value for the parameter :{missing}, got none")
    return Query(parsed.sql, tuple(values[name] for name in parsed.parameters))


# Loads repeat a few statements, and parsing takes longer than running them.
@lru_cache(maxsize=1024)
def _parse(sql: str) -> Query | Copy:
    """Returns the statement with the names of its parameters instead of their values."""
    try:
        tokens = Redshift().tokenize(sql)
    except SqlglotError as error:
        raise SqlError(f"cannot read the statement: {error}") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise SqlError("expected a statement, got none")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise SqlError("expected one statement, got several; BatchExecuteStatement takes several")
    if tokens[0].token_type is TokenType.COPY:
        return parse_copy(sql, tokens)
    if _has_no_meaning_here(tokens):
        return Query(_NOTHING)
    if view := _view(sql, tokens):
        return view
    text, names = _edit(sql[: tokens[-1].end + 1], tokens)
    return Query(_to_postgres(text), names)


def parameter_names(sql: str) -> set[str]:
    """Returns the parameters of a statement; none if it is invalid, which running it reports."""
    try:
        tokens = Redshift().tokenize(sql)
    except SqlglotError:
        return set()
    return {tokens[index + 1].text for index in range(len(tokens)) if _is_parameter(tokens, index)}


def _to_postgres(sql: str) -> str:
    """Translates a statement. PostgreSQL gets statements that sqlglot cannot parse unchanged."""
    try:
        tree = sqlglot.parse_one(sql, read="redshift")
    except SqlglotError:
        return sql
    if isinstance(tree, exp.Command):
        return sql
    return tree.transform(_rewrite).sql("postgres")


def _rewrite(node: exp.Expression) -> exp.Expression:
    match node:
        case exp.WithinGroup(this=exp.GroupConcat() as aggregate, expression=exp.Order() as order):
            aggregate.set("this", exp.Order(this=aggregate.this, expressions=order.expressions))
            return aggregate
        case exp.Schema():
            _drop_keys(node)
        case exp.DataType(this=exp.DataType.Type.SUPER):
            return exp.DataType.build("jsonb")
        case exp.DataType() if any(
            parameter.name.lower() == "max" for parameter in node.expressions
        ):
            node.set("expressions", [])
    return node


_KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.Constraint)
_COLUMN_KEYS = (exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference)


def _drop_keys(table: exp.Schema) -> None:
    """Removes keys. Of a primary key Redshift enforces only that its columns are not null."""
    primary = {
        column.name.lower()
        for key in table.find_all(exp.PrimaryKey)
        for column in key.find_all(exp.Identifier)
    }
    table.set("expressions", [part for part in table.expressions if not isinstance(part, _KEYS)])
    for column in table.find_all(exp.ColumnDef):
        kinds = [constraint.kind for constraint in column.constraints]
        is_primary = column.name.lower() in primary or any(
            isinstance(kind, exp.PrimaryKeyColumnConstraint) for kind in kinds
        )
        kept = [
            constraint
            for constraint in column.constraints
            if not isinstance(constraint.kind, _COLUMN_KEYS)
        ]
        if is_primary and not any(
            isinstance(constraint.kind, exp.NotNullColumnConstraint) for constraint in kept
        ):
            kept.append(exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))
        column.set("constraints", kept)


def _edit(sql: str, tokens: list[Token]) -> tuple[str, tuple[str, ...]]:
    """Replaces parameters by numbers and removes clauses about storage. Returns the text and the
    names of the parameters in the order of their numbers.
    """
    edits: list[tuple[int, int, str]] = []
    names: list[str] = []
    words = [_word(token) for token in tokens]
    about_tables = words[0] in ("create", "alter")
    index = 0
    while index < len(tokens):
        length = _storage_clause(words, index) if about_tables else 0
        if length:
            edits.append((tokens[index].start, tokens[index + length - 1].end + 1, ""))
            index += length
            continue
        if _is_parameter(tokens, index):
            names.append(tokens[index + 1].text)
            edits.append((tokens[index].start, tokens[index + 1].end + 1, f"${len(names)}"))
            index += 1
        elif (
            words[0] in ("grant", "revoke")
            and words[index] == "role"
            and words[index - 1] in ("to", "from")
        ):
            # PostgreSQL grants to roles without the word `role`.
            edits.append((tokens[index].start, tokens[index].end + 1, ""))
        index += 1
    for start, end, replacement in reversed(edits):
        sql = sql[:start] + replacement + sql[end:]
    return sql, tuple(names)


def _storage_clause(words: list[str], index: int) -> int:
    """Returns the number of tokens of the storage clause that begins here, or 0."""
    if words[index - 1] in ("(", ","):
        return 0  # a column of that name
    match words[index : index + 4]:
        case ["diststyle" | "encode" | "backup", *_]:
            return 2
        case ["sortkey", "auto", *_]:
            return 2
        case ["compound" | "interleaved", "sortkey", *_]:
            return 1 + _storage_clause(words, index + 1)
        case ["distkey" | "sortkey", *following]:
            return 1 + (words.index(")", index) - index if following[:1] == ["("] else 0)
    return 0


def _has_no_meaning_here(tokens: list[Token]) -> bool:
    """Returns whether a statement only maintains Redshift's storage."""
    words = [_word(token) for token in tokens]
    if words[0] == "vacuum":
        return True
    if words[:2] != ["alter", "table"] or "alter" not in words[2:]:
        return False
    after = words[words.index("alter", 2) + 1 :]
    return bool({"sortkey", "distkey", "diststyle", "encode"} & set(after[:4]))


def _view(sql: str, tokens: list[Token]) -> Query | None:
    """Returns a view's creation with late binding, or its drop, as a procedure of catalog.sql; None
    for all other statements.
    """
    match [_word(token) for token in tokens]:
        case ["create", *_, "with", "no", "schema", "binding"] as words if "view" in words[:4]:
            name, query = words.index("view") + 1, words.index("as") + 1
            texts = [
                sql[tokens[name].start : tokens[query - 1].start],
                _to_postgres(sql[tokens[query].start : tokens[-4].start]),
            ]
            procedure = "create_late_binding_view"
        case ["drop", "view", "if", "exists", *_]:
            texts = [sql[tokens[4].start : tokens[-1].end + 1]]
            procedure = "drop_view_if_exists"
        case _:
            return None
    literals = ", ".join("'" + text.strip().replace("'", "''") + "'" for text in texts)
    return Query(f"call redshift.{procedure}({literals})")


def _is_parameter(tokens: list[Token], index: int) -> bool:
    """Returns whether `:name` begins here, without a space."""
    if tokens[index].token_type is not TokenType.COLON or index + 1 == len(tokens):
        return False
    return (
        tokens[index + 1].start == tokens[index].end + 1 and tokens[index + 1].text.isidentifier()
    )


def _word(token: Token) -> str:
    """Returns the token in lower case; empty for quoted text, which is not a keyword."""
    return (
        "" if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else token.text.lower()
    )
