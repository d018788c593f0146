"""Middleware that says in each answer how many statements and commits of this app's it took."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext

from benchmarks.counting import HEADER, cost_of


def counter(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Count around everything else."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with CaptureQueriesContext(connection) as queries:
            response = get_response(request)
        cost = cost_of(query["sql"] for query in queries.captured_queries)
        response[HEADER] = f"{cost.statements} {cost.commits}"
        return response

    return middleware
