"""psycopg 3 as its users use it, over libpq 18. How it is called and what it prints: scenarios.py."""

import time

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from scenarios import SLOW, VALUES, asked, error, notice, say, scenario


def connect(at, **settings) -> psycopg.Connection:
    connection = psycopg.connect(at.dsn, **{"autocommit": True, "options": "-c TimeZone=UTC", **settings})
    connection.add_notice_handler(lambda said: notice(said.message_detail))
    return connection


def failure(at, kind):
    text, value = at.failure(kind)
    return text.replace("$1", "%s"), [value]


def seen(caught: psycopg.Error) -> dict:
    # What libpq says by itself has no SQLSTATE.
    return error(caught.sqlstate or str(caught), caught.diag.message_detail)


def tried(connection, text, values=None, **how):
    """Rows, the command's tag, or the error."""
    try:
        cursor = connection.execute(text, values, **how)
        return cursor.fetchall() if cursor.description else cursor.statusmessage
    except psycopg.Error as caught:
        return seen(caught)


def goes_on(connection) -> int:
    return connection.execute("SELECT 40 + %s", [2]).fetchone()[0]


def count(connection, table: str, note: str) -> int:
    return connection.execute(f"SELECT count(*) FROM {table} WHERE note = %s", [note]).fetchone()[0]


@scenario
def connects(at, _):
    with connect(at, gssencmode="prefer", max_protocol_version="3.2") as connection:
        said = connection.info.parameter_status
        return {
            "tls": connection.pgconn.ssl_in_use,
            "protocol": connection.pgconn.full_protocol_version,
            "settings": [said(name) for name in ("client_encoding", "standard_conforming_strings", "integer_datetimes")],
            "goes_on": goes_on(connection),
        }


def exchange(at, placeholder: str, binary: bool) -> dict:
    written = {}
    with connect(at) as connection, connection.cursor(binary=binary) as cursor:
        for kind, value in VALUES.items():
            bound = Jsonb(value) if kind == "jsonb" else value
            cursor.execute(f"SELECT v, v::text FROM (SELECT {placeholder}::{kind} AS v) AS given", [bound])
            back, text = cursor.fetchone()
            written[kind] = text if back == value else {"sent": repr(value), "came back": repr(back)}
        written["null"] = cursor.execute("SELECT %s::int4, %s::text", [None, None]).fetchone()
    return written


@scenario
def values_in_text(at, _):
    return exchange(at, "%t", False)


@scenario
def values_in_binary(at, _):
    return exchange(at, "%b", True)


@scenario
def prepared(at, _):
    """By request, by itself after five times, and closed as newer ones push them out or a rollback drops them."""
    with connect(at, prepare_threshold=5) as connection:
        connection.prepared_max = 2
        squares = [connection.execute("SELECT %s::int4 * %s", [n, n], prepare=True).fetchone()[0] for n in range(50)]
        sums = [connection.execute(f"SELECT %s + {k}", [n]).fetchone()[0] for k in range(4) for n in range(8)]
        connection.autocommit = False
        connection.execute("SELECT %s::text", ["x"], prepare=True)
        connection.rollback()
        again = [connection.execute("SELECT %s::int4 * %s", [n, n], prepare=True).fetchone()[0] for n in range(3)]
        connection.commit()
        return {"squares": sum(squares), "sums": sum(sums), "again": again}


@scenario
def unnamed(at, _):
    with connect(at, prepare_threshold=None) as connection:
        return {
            "parameters": tried(connection, "SELECT %s::text || %s", ["a", "b"]),
            "none": tried(connection, "SELECT 1", binary=True),
            "several": tried(connection, "SELECT 1; SELECT 2"),
            "empty": tried(connection, ""),
            "empty_extended": tried(connection, "", binary=True),
            "no_rows": tried(connection, f"SELECT * FROM {at.free} WHERE id = %s", [-1]),
            "goes_on": goes_on(connection),
        }


@scenario
def returning(at, _):
    with connect(at) as connection:
        many = connection.cursor()
        rows = [(n, f"many {n}") for n in range(2000, 2300)]
        many.executemany(f"INSERT INTO {at.free} VALUES (%s, %s) RETURNING id", rows, returning=True)
        ids = [result.fetchone()[0] for result in many.results()]
        return {
            "insert": tried(connection, f"INSERT INTO {at.free} VALUES (%s, %s) RETURNING id, note", [10, "ü"]),
            "update": tried(connection, f"UPDATE {at.free} SET note = %s WHERE id = %s RETURNING note", ["u", 10]),
            "no_rows": tried(connection, f"UPDATE {at.free} SET note = %s WHERE id = %s", ["u", -1]),
            "delete": tried(connection, f"DELETE FROM {at.free} WHERE id = %s RETURNING id", [10]),
            "many": [len(ids), ids[0], ids[-1]],
        }


@scenario
def portions(at, _):
    """Row by row and in chunks off the wire; a cursor in the server is DECLARE, which policy has no words for."""
    series = "SELECT n, repeat('x', 1000) FROM generate_series(1, %s) AS n"
    with connect(at) as connection, connection.cursor() as cursor:
        one = sum(row[0] for row in cursor.stream(series, [1000]))
        chunks = sum(row[0] for row in cursor.stream(series, [1000], size=100))
        cursor.execute(series, [1000])
        fetched = [len(cursor.fetchmany(300)) for _ in range(4)]
        left = next(cursor.stream(series, [100_000]))[0]
        connection.autocommit = False
        try:
            with connection.cursor("named") as named:
                declared = named.execute(series, [10]).fetchall()[-1][0]
        except psycopg.Error as caught:
            declared = seen(caught)
        connection.rollback()
        return {"rows": one, "chunks": chunks, "fetched": fetched, "left": left, "declared": declared,
                "goes_on": goes_on(connection)}


@scenario
def pipelines(at, _):
    """Alone, in a transaction of psycopg's own, in one that is begun, and with a sync on the way."""
    seen_so_far = {}
    insert = f"INSERT INTO {at.free} VALUES (%s, %s)"
    with connect(at) as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("SELECT %s * 2", [n]) for n in range(100)]
            pipeline.sync()
            connection.execute(insert, [20, "pipelined"])
            seen_so_far["alone"] = sum(cursor.fetchone()[0] for cursor in cursors)
        with connection.pipeline(), connection.transaction():
            connection.execute(insert, [21, "pipelined"])
            with connection.transaction():
                connection.execute(insert, [22, "pipelined"])
                raise psycopg.Rollback
        with connection.pipeline(), connection.transaction(force_rollback=True):
            connection.execute(insert, [23, "pipelined"])
        connection.autocommit = False
        with connection.pipeline():
            connection.execute(insert, [24, "pipelined"])
            seen_so_far["inside"] = count(connection, at.free, "pipelined")
        connection.rollback()
        seen_so_far["kept"] = count(connection, at.free, "pipelined")
    return seen_so_far


@scenario
def fails_in_a_pipeline(at, kind):
    """What came before in the pipeline was one transaction with it."""
    text, values = failure(at, kind)
    with connect(at) as connection:
        statements = [(f"INSERT INTO {at.free} VALUES (%s, %s)", [30, "pipe"]), (text, values), ("SELECT %s", [1])]
        results = []
        try:
            with connection.pipeline():
                cursors = [connection.cursor() for _ in statements]
                for cursor, statement in zip(cursors, statements):
                    cursor.execute(*statement)
        except psycopg.Error as caught:
            results = seen(caught)
        return {"error": results, "kept": count(connection, at.free, "pipe"), "goes_on": goes_on(connection)}


@scenario
def fails_in_a_transaction(at, kind):
    text, values = failure(at, kind)
    with connect(at, autocommit=False) as connection:
        saw = {
            "before": tried(connection, f"INSERT INTO {at.free} VALUES (%s, %s)", [31, "failed"]),
            "error": tried(connection, text, values),
            "after": tried(connection, "SELECT %s", [1]),
            "commit": tried(connection, "COMMIT"),
            "kept": count(connection, at.free, "failed"),
        }
        connection.rollback()
        try:
            with connection.transaction():
                connection.execute(f"INSERT INTO {at.free} VALUES (%s, %s)", [32, "saved"])
                with connection.transaction():
                    connection.execute(text, values)
        except psycopg.Error:
            saw["undone"] = count(connection, at.free, "saved")
        with connection.transaction(force_rollback=True):
            connection.execute(f"INSERT INTO {at.free} VALUES (%s, %s)", [32, "saved"])
            try:
                with connection.transaction():
                    connection.execute(text, values)
            except psycopg.Error:
                saw["saved"] = count(connection, at.free, "saved")
        return saw | {"goes_on": goes_on(connection)}


@scenario
def transactions(at, _):
    """psycopg begins one before the first statement, and ends none by itself."""
    with connect(at, autocommit=False) as connection:
        insert = f"INSERT INTO {at.free} VALUES (%s, %s)"
        connection.execute(insert, [40, "implicit"])
        connection.rollback()
        connection.execute("SELECT 1")
        connection.execute(insert, [41, "implicit"])
        connection.commit()
        with connection.transaction():
            connection.execute(insert, [42, "implicit"])
            with connection.transaction(force_rollback=True):
                connection.execute(insert, [43, "implicit"])
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        level = tried(connection, "SHOW transaction_isolation")
        refused = tried(connection, insert, [44, "implicit"])
        connection.rollback()
        connection.read_only = None
        return {"kept": count(connection, at.free, "implicit"), "level": level, "read_only": refused}


UPDATE = "UPDATE {} SET status = %s, at = %b WHERE id = %s RETURNING status, at::text"
AT = VALUES["timestamptz"]


@scenario
def hold(at, row):
    with connect(at) as connection:
        return {"result": tried(connection, UPDATE.format(at.held), ["it's ü", AT, int(row)]),
                "goes_on": goes_on(connection)}


@scenario
def hold_first_in_a_transaction(at, row):
    with connect(at, autocommit=False) as connection:
        result = tried(connection, UPDATE.format(at.held), ["first", None, int(row)])
        return {"result": result, "ended": tried(connection, "COMMIT"), "goes_on": goes_on(connection)}


@scenario
def hold_after_a_read(at, row):
    with connect(at, autocommit=False) as connection:
        read = tried(connection, f"SELECT status FROM {at.held} WHERE id = %s", [int(row)])
        result = tried(connection, UPDATE.format(at.held), ["second", None, int(row)])
        seen_inside = tried(connection, f"SELECT status FROM {at.held} WHERE id = %s", [int(row)])
        return {"read": read, "result": result, "inside": seen_inside, "ended": tried(connection, "COMMIT")}


@scenario
def hold_in_a_pipeline(at, row):
    with connect(at) as connection:
        try:
            with connection.pipeline():
                before = connection.execute("SELECT %s + 1", [1])
                held = connection.execute(UPDATE.format(at.held), ["piped", None, int(row)])
                after = connection.execute("SELECT %s + 1", [3])
            return {"result": [cursor.fetchall() for cursor in (before, held, after)], "goes_on": goes_on(connection)}
        except psycopg.Error as caught:
            return {"result": seen(caught), "goes_on": goes_on(connection)}


@scenario
def cancel(at, _):
    """Over TLS, as libpq 18 does, and without it, as older ones do."""
    saw = {}
    with connect(at) as connection, connection.cursor() as cursor:
        for way in ("cancel_safe", "cancel"):
            began = time.monotonic()
            try:
                for number, _row in enumerate(cursor.stream(SLOW)):
                    if number == 0:
                        getattr(connection, way)()
            except psycopg.Error as caught:
                saw[way] = seen(caught) | {"at_once": time.monotonic() - began < 30}
            saw["goes_on"] = goes_on(connection)
    return saw


@scenario
def cancel_hold(at, row):
    with connect(at) as connection:
        connection.add_notice_handler(lambda _: connection.cancel_safe())
        result = tried(connection, UPDATE.format(at.held), ["cancelled", None, int(row)])
        return {"result": result, "goes_on": goes_on(connection)}


@scenario
def refused_features(at, _):
    def copy(text, *rows):
        try:
            with connection.cursor().copy(sql.SQL(text)) as stream:
                for row in rows:
                    stream.write_row(row)
                return len(list(stream)) if not rows else "copied"
        except psycopg.Error as caught:
            return seen(caught)

    with connect(at) as connection:
        return {
            "copy_out": copy(f"COPY {at.free} TO STDOUT"),
            "copy_in": copy(f"COPY {at.free} FROM STDIN", (50, "copied")),
            "listen": tried(connection, "LISTEN anything"),
            "goes_on": goes_on(connection),
        }


if __name__ == "__main__":
    place, wanted = asked()
    say({name: function(place, argument) for name, function, argument in wanted})
