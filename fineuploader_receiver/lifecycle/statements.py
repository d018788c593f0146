"""The statements of one chunk, written out: Django takes longer to compose them than a database takes to run them.

Names come from the models and values go through their fields, so these say what the ORM would say. Everything that is
not needed for every chunk goes through the ORM.
"""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Field, Model
from django.db.models.sql import Query

from ..database import DatabaseClock, moment
from ..models import UploadChunk, UploadSession, UploadState


class _Names(NamedTuple):
    """Quoted names of one model on one database."""

    table: str
    columns: Mapping[str, str]


def find_upload(
    using: str, *, receiver: str, owner_key: str, number: uuid.UUID
) -> tuple[UploadSession, datetime.datetime] | None:
    """An owner's upload and the database's time."""
    return _select(using, {"receiver": receiver, "owner_key": owner_key, "uuid": number})


def reload_upload(using: str, pk: int) -> tuple[UploadSession, datetime.datetime] | None:
    """An upload as it is now, and the database's time."""
    return _select(using, {"id": pk})


def has_all_chunks(using: str, pk: int) -> bool | None:
    """Whether as many chunks were counted as there should be; None where there is no such upload."""
    table, column = _names(using, UploadSession)
    whole = f"{column['received_chunks']} >= {column['total_chunks']}"
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {whole} FROM {table} WHERE {column['id']} = %s", [pk])
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def insert_chunk(using: str, values: Mapping[str, Any]) -> None:
    """Insert a chunk's row. Raises IntegrityError where there is one, or the upload's own is gone."""
    table, column = _names(using, UploadChunk)
    names = ", ".join(column[name] for name in values)
    marks = ", ".join(["%s"] * len(values))
    _execute(using, f"INSERT INTO {table} ({names}) VALUES ({marks})", _adapted(using, UploadChunk, values))


def store_chunk(using: str, pk: int, *, index: int, token: str, values: Mapping[str, Any]) -> bool:
    """Change the row of a chunk that is claimed with `token` and not stored. False when there is none."""
    table, column = _names(using, UploadChunk)
    where = {"session": pk, "index": index, "token": token, "stored": False}
    sql = f"UPDATE {table} SET {_pairs(column, values, ', ')} WHERE {_pairs(column, where, ' AND ')}"
    params = _adapted(using, UploadChunk, values) + _adapted(using, UploadChunk, where)
    return _execute(using, sql, params) > 0


def count_chunk(
    using: str, pk: int, *, index: int, size: int, live_after: datetime.datetime | None, values: Any
) -> bool:
    """Count a chunk on its upload, which must be receiving, and set `values`. False where it is not.

    Notes that chunks come out of order where one above this index is here, one below is skipped, or another chunk that
    was claimed after `live_after` is on its way (None: that is known already, or does not matter).
    """
    table, column = _names(using, UploadSession)
    changes: list[str] = []
    params: list[Any] = []
    if live_after is not None:
        # First, because MariaDB shows an expression the new values of the columns to its left.
        disorder, params = _disorder(using, pk, index, live_after)
        changes.append(f"{column['out_of_order']} = CASE WHEN {disorder} THEN %s ELSE {column['out_of_order']} END")
        params.append(True)
    highest = column["highest_index"]
    changes += [
        f"{column['received_bytes']} = {column['received_bytes']} + %s",
        f"{column['received_chunks']} = {column['received_chunks']} + 1",
        f"{highest} = CASE WHEN {highest} < %s THEN %s ELSE {highest} END",
        _pairs(column, values, ", "),
    ]
    params += [size, index, index, *_adapted(using, UploadSession, values), pk, UploadState.RECEIVING.value]
    where = f"{column['id']} = %s AND {column['state']} = %s"
    return _execute(using, f"UPDATE {table} SET {', '.join(changes)} WHERE {where}", params) > 0


def _disorder(using: str, pk: int, index: int, live_after: datetime.datetime) -> tuple[str, list[Any]]:
    highest = _names(using, UploadSession).columns["highest_index"]
    table, chunk = _names(using, UploadChunk)
    others = (
        f"SELECT 1 FROM {table} WHERE {chunk['session']} = %s AND NOT {chunk['stored']}"
        f" AND {chunk['claimed_at']} > %s AND {chunk['index']} <> %s"
    )
    condition = f"{highest} > %s OR ({highest} >= 0 AND {highest} < %s) OR EXISTS ({others})"
    claimed = _adapted(using, UploadChunk, {"claimed_at": live_after})
    return condition, [index, index - 1, pk, *claimed, index]


def _select(using: str, where: Mapping[str, Any]) -> tuple[UploadSession, datetime.datetime] | None:
    connection = connections[using]
    table, column = _names(using, UploadSession)
    clock, params = connection.ops.compiler("SQLCompiler")(Query(None), connection, using).compile(DatabaseClock())
    sql = f"SELECT {_all_columns(using)}, {clock} FROM {table} WHERE {_pairs(column, where, ' AND ')}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, *_adapted(using, UploadSession, where)])
        row = cursor.fetchone()
    if row is None:
        return None
    values = list(row)
    for position, convert, expression in _converters(using):
        values[position] = convert(values[position], expression, connection)
    fields = [field.attname for field in UploadSession._meta.concrete_fields]
    return UploadSession.from_db(using, fields, values[:-1]), moment(values[-1])


@functools.cache
def _all_columns(using: str) -> str:
    return ", ".join(_names(using, UploadSession).columns.values())


@functools.cache
def _converters(using: str) -> Sequence[tuple[int, Any, Any]]:
    """What the database returns in another form than the model has it: position, converter, and what it converts."""
    connection = connections[using]
    return [
        (position, convert, column)
        for position, field in enumerate(UploadSession._meta.concrete_fields)
        for column in [field.get_col(UploadSession._meta.db_table)]
        for convert in [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    ]


@functools.cache
def _names(using: str, model: type[Model]) -> _Names:
    quote = connections[using].ops.quote_name
    return _Names(
        quote(model._meta.db_table), {field.name: quote(str(field.column)) for field in _fields(model).values()}
    )


@functools.cache
def _fields(model: type[Model]) -> dict[str, Field[Any, Any]]:
    return {field.name: field for field in model._meta.concrete_fields}


def _pairs(columns: Mapping[str, str], values: Mapping[str, Any], separator: str) -> str:
    return separator.join(f"{columns[name]} = %s" for name in values)


def _adapted(using: str, model: type[Model], values: Mapping[str, Any]) -> list[Any]:
    connection, fields = connections[using], _fields(model)
    return [fields[name].get_db_prep_save(value, connection) for name, value in values.items()]


def _execute(using: str, sql: str, params: Sequence[Any]) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)
