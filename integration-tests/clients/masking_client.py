"""Statements by psycopg in text, psycopg in binary, and asyncpg: what each of them got, value by value.

    masking_client.py DSN < [SQL, ...]        the password is in PGPASSWORD

Each client has one session. Standard output is one JSON object, client -> one answer for each statement:
{"rows": [[...]]} or {"error": [...]}, the SQLSTATE and every text that the client has of it. A value is null or written as
PostgreSQL does; psycopg's have the bytes that came, in hexadecimal, in a list "raw" beside "rows". "notices" and
"application_name" are what the session was told beside its answers.
"""

import asyncio
import json
import sys

import asyncpg
import psycopg

# What psycopg has of an error or notice.
FIELDS = ("message_primary", "message_detail", "message_hint", "context", "internal_query", "schema_name",
          "table_name", "column_name", "datatype_name", "constraint_name", "source_function")


def written(value):
    match value:
        case None | str():
            return value
        case bool():
            return "t" if value else "f"
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case dict():
            return json.dumps(value)
    return str(value)


def texts(diagnostic) -> list:
    return [text for text in (getattr(diagnostic, field) for field in FIELDS) if text]


def by_psycopg(dsn: str, statements: list, binary: bool) -> dict:
    answers, notices = [], []
    # JSON as it came.
    psycopg.types.json.set_json_loads(lambda text: text if isinstance(text, str) else bytes(text).decode())
    with psycopg.connect(dsn, autocommit=True, options="-c TimeZone=UTC") as connection:
        connection.add_notice_handler(lambda said: notices.append(texts(said)))
        for text in statements:
            try:
                # Prepared, text goes by the extended protocol too.
                cursor = connection.execute(text, prepare=not binary, binary=binary)
            except psycopg.Error as caught:
                answers.append({"error": [caught.sqlstate, *(texts(caught.diag) or [str(caught)])]})
                continue
            answer = {"rows": [], "raw": []}
            if cursor.description:
                answer["rows"] = [[written(value) for value in row] for row in cursor]
                result = cursor.pgresult
                cells = [[result.get_value(row, at) for at in range(result.nfields)] for row in range(result.ntuples)]
                answer["raw"] = [[value if value is None else value.hex() for value in row] for row in cells]
            answers.append(answer)
        name = connection.info.parameter_status("application_name")
    return {"answers": answers, "notices": notices, "application_name": name}


async def by_asyncpg(dsn: str, statements: list) -> dict:
    answers, notices = [], []
    # Through the edge there is TLS alone; a server's own socket has none.
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    connection.add_log_listener(lambda _, said: notices.append([str(part) for part in said.as_dict().values()]))
    for text in statements:
        try:
            rows = await connection.fetch(text)
            answers.append({"rows": [[written(value) for value in row] for row in rows]})
        except asyncpg.PostgresError as caught:
            answers.append({"error": [caught.sqlstate, *(str(part) for part in caught.as_dict().values())]})
        except (asyncpg.InterfaceError, ValueError) as caught:
            answers.append({"error": [type(caught).__name__, str(caught)]})
    await connection.close()
    return {"answers": answers, "notices": notices}


def main():
    dsn, statements = sys.argv[1], json.load(sys.stdin)
    print(json.dumps({
        "psycopg": by_psycopg(dsn, statements, False),
        "psycopg in binary": by_psycopg(dsn, statements, True),
        "asyncpg": asyncio.run(by_asyncpg(dsn, statements)),
    }))


if __name__ == "__main__":
    main()
