"""The statements of one chunk, written out: Django takes longer to compose them than a database takes to run them.

Names come from the models and values go through their fields, so these say what the ORM would say. Everything that is
not needed for every chunk goes through the ORM.
"""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections
from django.db.models import BooleanField, CharField, Field, FloatField, ForeignKey, IntegerField, Model, TextField

from ..database import clock, moment
from ..models import UploadChunk, UploadSession, UploadState

_PLAIN = (BooleanField, CharField, FloatField, ForeignKey, IntegerField, TextField)
"""Fields whose values a database takes as they are."""


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
    _execute(using, _insert_sql(using, tuple(values)), _adapted(using, UploadChunk, values))


def store_chunk(using: str, pk: int, *, index: int, token: str, values: Mapping[str, Any]) -> bool:
    """Change the row of a chunk that is claimed with `token` and not stored. False when there is none."""
    where = {"session": pk, "index": index, "token": token, "stored": False}
    sql = _store_sql(using, tuple(values), tuple(where))
    return _execute(using, sql, [*_adapted(using, UploadChunk, values), *_adapted(using, UploadChunk, where)]) > 0


def count_chunk(
    using: str, pk: int, *, index: int, size: int, live_after: datetime.datetime | None, values: Mapping[str, Any]
) -> bool:
    """Count a chunk on its upload, which must be receiving, and set `values`. False where it is not.

    Notes that chunks come out of order where one above this index is here, one below is skipped, or one above that was
    claimed after `live_after` is on its way (None: that is known already, or does not matter).
    """
    params: list[Any] = []
    if live_after is not None:
        claimed = _adapted(using, UploadChunk, {"claimed_at": live_after})
        params = [index, index - 1, pk, index, *claimed, True]
    params += [size, index, index, *_adapted(using, UploadSession, values), pk, UploadState.RECEIVING.value]
    return _execute(using, _count_sql(using, tuple(values), live_after is not None), params) > 0


def _select(using: str, where: Mapping[str, Any]) -> tuple[UploadSession, datetime.datetime] | None:
    connection = connections[using]
    time, params = clock(using)
    with connection.cursor() as cursor:
        cursor.execute(_select_sql(using, time, tuple(where)), [*params, *_adapted(using, UploadSession, where)])
        row = cursor.fetchone()
    if row is None:
        return None
    values = list(row)
    for position, convert, expression in _converters(using, settings.USE_TZ):
        values[position] = convert(values[position], expression, connection)
    return UploadSession.from_db(using, _attributes(), values[:-1]), moment(values[-1])


@functools.cache
def _select_sql(using: str, time: str, where: tuple[str, ...]) -> str:
    table, column = _names(using, UploadSession)
    return f"SELECT {', '.join(column.values())}, {time} FROM {table} WHERE {_pairs(column, where, ' AND ')}"


@functools.cache
def _insert_sql(using: str, names: tuple[str, ...]) -> str:
    table, column = _names(using, UploadChunk)
    columns, marks = ", ".join(column[name] for name in names), ", ".join(["%s"] * len(names))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"


@functools.cache
def _store_sql(using: str, names: tuple[str, ...], where: tuple[str, ...]) -> str:
    table, column = _names(using, UploadChunk)
    return f"UPDATE {table} SET {_pairs(column, names, ', ')} WHERE {_pairs(column, where, ' AND ')}"


@functools.cache
def _count_sql(using: str, names: tuple[str, ...], notes_order: bool) -> str:
    table, column = _names(using, UploadSession)
    highest, out_of_order = column["highest_index"], column["out_of_order"]
    # First, because MariaDB shows an expression the new values of the columns to its left.
    noted = f"{out_of_order} = CASE WHEN {_disorder_sql(using)} THEN %s ELSE {out_of_order} END," if notes_order else ""
    counted = (
        f"{column['received_bytes']} = {column['received_bytes']} + %s,"
        f" {column['received_chunks']} = {column['received_chunks']} + 1,"
        f" {highest} = CASE WHEN {highest} < %s THEN %s ELSE {highest} END, {_pairs(column, names, ', ')}"
    )
    return f"UPDATE {table} SET {noted} {counted} WHERE {column['id']} = %s AND {column['state']} = %s"


def _disorder_sql(using: str) -> str:
    highest = _names(using, UploadSession).columns["highest_index"]
    table, chunk = _names(using, UploadChunk)
    others = (
        f"SELECT 1 FROM {table} WHERE {chunk['session']} = %s AND {chunk['index']} > %s"
        f" AND NOT {chunk['stored']} AND {chunk['claimed_at']} > %s"
    )
    return f"{highest} > %s OR ({highest} >= 0 AND {highest} < %s) OR EXISTS ({others})"


@functools.cache
def _attributes() -> list[str]:
    return [field.attname for field in UploadSession._meta.concrete_fields]


@functools.cache
def _converters(using: str, use_tz: bool) -> Sequence[tuple[int, Any, Any]]:
    """What the database returns in another form than the model has it: position, converter, and what it converts.

    MariaDB has one for times only under USE_TZ.
    """
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
    columns = {field.name: quote(str(field.column)) for field in model._meta.concrete_fields}
    return _Names(quote(model._meta.db_table), columns)


@functools.cache
def _adapting(model: type[Model]) -> dict[str, Field[Any, Any]]:
    """The fields whose values a database wants in a form of its own."""
    return {field.name: field for field in model._meta.concrete_fields if not isinstance(field, _PLAIN)}


def _pairs(columns: Mapping[str, str], names: Iterable[str], separator: str) -> str:
    return separator.join(f"{columns[name]} = %s" for name in names)


def _adapted(using: str, model: type[Model], values: Mapping[str, Any]) -> list[Any]:
    connection, adapting = connections[using], _adapting(model)
    return [
        adapting[name].get_db_prep_save(value, connection) if name in adapting else value
        for name, value in values.items()
    ]


def _execute(using: str, sql: str, params: Sequence[Any]) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)
