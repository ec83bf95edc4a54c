"""What the judging clients in Python have in common: named scenarios, the values that they bind, and what they print.

    psycopg_client.py DSN SCENARIO[=ARGUMENT] ...        the password is in PGPASSWORD

Each scenario has a connection of its own. The last line of standard output is one JSON object, scenario -> what it
saw. Before it, each NOTICE shows its DETAIL as it comes: {"notice": ...}. The database has two tables: one of its own
name, whose writes wait for people through the edge, and `<name>_free`, whose writes do not.
"""

import datetime
import decimal
import json
import sys
import urllib.parse
import uuid

# One value of each type, at a limit or with what is lost on the way if something guesses; what PostgreSQL writes for
# each is in tests/it/clients.rs. The time zone of a session that binds them is UTC.
VALUES = {
    "int2": -(2**15),
    "int4": 2**31 - 1,
    "int8": -(2**63),
    "float8": 0.1,
    "numeric": decimal.Decimal("-12345678901234567890.01234567890"),
    "text": "it's „Größe“ \u202e数据 😀\n\\",
    "bytea": b"\x00\x01'\\\xff",
    "bool": True,
    "timestamptz": datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, datetime.timezone.utc),
    "date": datetime.date(1999, 12, 31),
    "uuid": uuid.UUID("6f9619ff-8b86-4011-b42d-00c04fc964ff"),
    "jsonb": {"a": [1, None, "ü"]},
    "int4[]": [1, None, -3],
    "text[]": ["a,b", None, '"', ""],
}
# What fails, by what is wrong with it: SQL with one parameter, and a value for it. FREE is the table.
FAILURES = {
    "division": ("SELECT 1 / $1::int4", 0),
    "syntax": ("SELEC $1", 0),
    "unknown": ("SELECT * FROM no_such_table WHERE id = $1::int4", 0),
    "unique": ("INSERT INTO FREE VALUES ($1, 'twice')", 1),
    "refused": ("SELECT * FROM hr.payroll WHERE employee = $1::text", "x"),
}
# Rows that fill the server's send buffer come at once; then it runs for long.
SLOW = "SELECT repeat('x', 9000) FROM generate_series(1, 3) UNION ALL SELECT pg_sleep(60)::text"

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Place:
    """Where a script is to work."""

    def __init__(self, dsn: str):
        self.dsn = dsn
        self.held = urllib.parse.urlsplit(dsn).path.strip("/")
        self.free = f"{self.held}_free"

    def failure(self, kind: str):
        sql, value = FAILURES[kind]
        return sql.replace("FREE", self.free), value


def say(line: dict):
    print(json.dumps(line), flush=True)


def error(code, detail) -> dict:
    """An error: its SQLSTATE and, where DETAIL is ours, what it says."""
    try:
        said = json.loads(detail or "")
    except ValueError:
        said = {}
    return {"sqlstate": code} | {key: said[key] for key in ("decision", "reason") if key in said}


def notice(detail):
    try:
        say({"notice": json.loads(detail or "")})
    except ValueError:
        say({"notice": detail})


def asked():
    """The place, and what is asked for: names, functions and arguments."""
    dsn, *names = sys.argv[1:]
    parts = [name.partition("=") for name in names]
    return Place(dsn), [(name, SCENARIOS[function], argument) for name, (function, _, argument) in zip(names, parts)]
