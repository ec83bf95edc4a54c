"""asyncpg as its users use it: binary, prepared, pooled. How it is called and what it prints: scenarios.py."""

import asyncio
import io
import json
import time

import asyncpg

from scenarios import SLOW, VALUES, asked, error, notice, say, scenario

# What a session is set up with. The password is read by asyncpg itself, from PGPASSWORD.
UTC = {"timezone": "UTC"}


class connected:
    """A connection of a scenario's own."""

    def __init__(self, at, **settings):
        self.opening = asyncpg.connect(at.dsn, **{"server_settings": UTC, **settings})

    async def __aenter__(self) -> asyncpg.Connection:
        self.connection = await self.opening
        self.connection.add_log_listener(lambda _, said: notice(said.detail))
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close()


def seen(caught: asyncpg.PostgresError) -> dict:
    return error(caught.sqlstate, caught.detail)


async def tried(connection, text, *values):
    """Rows, or the error."""
    try:
        return [list(row) for row in await connection.fetch(text, *values)]
    except asyncpg.PostgresError as caught:
        return seen(caught)


async def goes_on(connection) -> int:
    return await connection.fetchval("SELECT 40 + $1::int4", 2)


async def count(connection, table: str, note: str) -> int:
    return await connection.fetchval(f"SELECT count(*) FROM {table} WHERE note = $1", note)


@scenario
async def connects(at, _):
    async with connected(at) as connection:
        said = connection.get_settings()
        return {
            "tls": bool(connection._transport.get_extra_info("ssl_object")),
            "settings": [said.client_encoding, said.standard_conforming_strings, said.integer_datetimes],
            "goes_on": await goes_on(connection),
        }


@scenario
async def values(at, _):
    written = {}
    async with connected(at) as connection:
        for kind, value in VALUES.items():
            text = f"SELECT v, v::text FROM (SELECT $1::{kind} AS v) AS given"
            # asyncpg leaves JSON to its users, and looks most arrays up in the catalog before it binds them.
            row = await tried(connection, text, json.dumps(value) if kind == "jsonb" else value)
            if kind == "int4[]" and isinstance(row, dict):
                written[kind] = row
                continue
            back, as_text = row[0]
            back = json.loads(back) if kind == "jsonb" else back
            written[kind] = as_text if back == value else {"sent": repr(value), "came back": repr(back)}
        written["null"] = list(await connection.fetchrow("SELECT $1::int4, $2::text", None, None))
    return written


@scenario
async def prepared(at, _):
    """By hand, by asyncpg's cache, and closed as newer ones push them out of it."""
    async with connected(at, statement_cache_size=3) as connection:
        statement = await connection.prepare("SELECT $1::int4 * $1")
        squares = [await statement.fetchval(n) for n in range(50)]
        kinds = [kind.name for kind in statement.get_parameters()]
        columns = [[column.name, column.type.name] for column in statement.get_attributes()]
        del statement
        sums = [await connection.fetchval(f"SELECT $1::int4 + {k}", n) for k in range(8) for n in range(4)]
        return {"squares": sum(squares), "parameters": kinds, "columns": columns, "sums": sum(sums)}


@scenario
async def unnamed(at, _):
    async with connected(at, statement_cache_size=0) as connection:
        return {
            "parameters": await tried(connection, "SELECT $1::text || $2", "a", "b"),
            "none": await tried(connection, "SELECT 1"),
            "several": await connection.execute("SELECT 1; SELECT 2"),
            "several_extended": await tried(connection, "SELECT 1; SELECT 2"),
            "empty": await tried(connection, ""),
            "no_rows": await tried(connection, f"SELECT * FROM {at.free} WHERE id = $1", -1),
            "goes_on": await goes_on(connection),
        }


@scenario
async def returning(at, _):
    async with connected(at) as connection:
        rows = [(n, f"many {n}") for n in range(2000, 4500)]
        await connection.executemany(f"INSERT INTO {at.free} VALUES ($1, $2)", rows)
        return {
            "insert": await tried(connection, f"INSERT INTO {at.free} VALUES ($1, $2) RETURNING id, note", 10, "ü"),
            "update": await tried(connection, f"UPDATE {at.free} SET note = $1 WHERE id = $2 RETURNING note", "u", 10),
            "no_rows": await connection.execute(f"UPDATE {at.free} SET note = $1 WHERE id = $2", "u", -1),
            "delete": await tried(connection, f"DELETE FROM {at.free} WHERE id = $1 RETURNING id", 10),
            "many": await connection.fetchval(f"SELECT count(*) FROM {at.free} WHERE id >= $1", 2000),
        }


@scenario
async def portions(at, _):
    """A cursor is a portal that is executed again and again, within a transaction."""
    series = "SELECT n, repeat('x', 1000) FROM generate_series(1, $1::int4) AS n"
    async with connected(at) as connection:
        async with connection.transaction():
            one = [row[0] async for row in connection.cursor(series, 1000, prefetch=70)]
            cursor = await connection.cursor(series, 100_000)
            first, second = await cursor.fetch(3), await cursor.fetchrow()
            third = await cursor.fetchrow()
            # The other one has not ended: two portals are open at once.
            other = await connection.cursor("SELECT n FROM generate_series(1, $1::int4) AS n", 4)
            both = [(await other.fetchrow())[0], (await cursor.fetchrow())[0]]
            rest = len(await other.fetch(100))
        return {"rows": sum(one), "taken": [len(first), second[0], third[0]], "both": both, "rest": rest,
                "goes_on": await goes_on(connection)}


@scenario
async def transactions(at, _):
    insert = f"INSERT INTO {at.free} VALUES ($1, $2)"
    async with connected(at) as connection:
        async with connection.transaction():
            await connection.execute(insert, 40, "kept")
            savepoint = connection.transaction()
            await savepoint.start()
            await connection.execute(insert, 41, "kept")
            await savepoint.rollback()
        undone = connection.transaction()
        await undone.start()
        await connection.execute(insert, 42, "kept")
        await undone.rollback()
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            level = await connection.fetchval("SHOW transaction_isolation")
        return {"kept": await count(connection, at.free, "kept"), "level": level}


@scenario
async def fails_in_a_pipeline(at, kind):
    """executemany sends every Bind and Execute before one Sync, so one error undoes all of it."""
    text, value = at.failure(kind)
    async with connected(at) as connection:
        # What fails by a row's value fails amid others; what fails by its text fails for all of them.
        values = {"division": [(1,), (value,), (2,)], "unique": [(30,), (value,), (31,)]}.get(kind, [(value,)] * 3)
        try:
            await connection.executemany(text, values)
            caught = None
        except asyncpg.PostgresError as error:
            caught = seen(error)
        kept = await connection.fetchval(f"SELECT count(*) FROM {at.free} WHERE id IN (30, 31)")
        return {"error": caught, "kept": kept, "goes_on": await goes_on(connection)}


@scenario
async def fails_in_a_transaction(at, kind):
    text, value = at.failure(kind)
    insert = f"INSERT INTO {at.free} VALUES ($1, $2)"
    saw = {}
    async with connected(at) as connection:
        # Nothing is raised in the block, so asyncpg commits: what has failed is rolled back.
        async with connection.transaction():
            await connection.execute(insert, 32, "failed")
            saw["error"] = await tried(connection, text, value)
            saw["after"] = await tried(connection, "SELECT $1::int4", 1)
        saw["kept"] = await count(connection, at.free, "failed")
        async with connection.transaction():
            await connection.execute(insert, 33, "saved")
            try:
                async with connection.transaction():
                    await connection.execute(text, value)
            except asyncpg.PostgresError:
                saw["saved"] = await count(connection, at.free, "saved")
            await connection.execute(f"DELETE FROM {at.free} WHERE id = $1", 33)
        return saw | {"goes_on": await goes_on(connection)}


UPDATE = "UPDATE {} SET status = $1, at = $2 WHERE id = $3 RETURNING status, at::text"
AT = VALUES["timestamptz"]


@scenario
async def hold(at, row):
    async with connected(at) as connection:
        result = await tried(connection, UPDATE.format(at.held), "it's ü", AT, int(row))
        return {"result": result, "goes_on": await goes_on(connection)}


@scenario
async def hold_twice(at, row):
    """The same prepared statement with other values is another operation."""
    async with connected(at) as connection:
        statement = await connection.prepare(UPDATE.format(at.held))
        results = []
        for text in ("one", "other"):
            try:
                results.append([list(found) for found in await statement.fetch(text, None, int(row))])
            except asyncpg.PostgresError as caught:
                results.append(seen(caught))
        return {"results": results, "goes_on": await goes_on(connection)}


@scenario
async def hold_in_a_transaction(at, row):
    async with connected(at) as connection:
        transaction = connection.transaction()
        await transaction.start()
        read = await tried(connection, f"SELECT status FROM {at.held} WHERE id = $1", int(row))
        result = await tried(connection, UPDATE.format(at.held), "within", None, int(row))
        inside = await tried(connection, f"SELECT status FROM {at.held} WHERE id = $1", int(row))
        await transaction.commit()
        return {"read": read, "result": result, "inside": inside, "goes_on": await goes_on(connection)}


@scenario
async def cancel(at, _):
    """A timeout cancels on a connection of its own, and waits until that has been heard."""
    async with connected(at) as connection:
        began = time.monotonic()
        try:
            result = await connection.fetch(SLOW, timeout=1)
        except asyncio.TimeoutError:
            result = "timed out"
        return {"result": result, "goes_on": await goes_on(connection), "at_once": time.monotonic() - began < 30}


@scenario
async def cancel_hold(at, row):
    async with connected(at) as connection:
        update = asyncio.ensure_future(tried(connection, UPDATE.format(at.held), "cancelled", None, int(row)))
        connection.add_log_listener(lambda *_: update.cancel())
        try:
            result = await update
        except asyncio.CancelledError:
            result = "cancelled"
        return {"result": result, "goes_on": await goes_on(connection)}


@scenario
async def refused_features(at, _):
    async def copy(work):
        try:
            return await work
        except asyncpg.PostgresError as caught:
            return seen(caught)

    async with connected(at) as connection:
        out = connection.copy_from_table(at.free, output=io.BytesIO())
        query = connection.copy_from_query("SELECT $1::int4", 1, output=io.BytesIO())
        records = connection.copy_records_to_table(at.free, records=[(50, "copied")], columns=["id", "note"])
        async def moved():
            # asyncpg moves a portal by SQL that names it.
            async with connection.transaction():
                cursor = await connection.cursor("SELECT 1")
                return await cursor.forward(5)

        return {
            "move": await copy(moved()),
            "copy_out": await copy(out),
            "copy_query": await copy(query),
            "copy_in": await copy(records),
            "listen": await copy(connection.add_listener("anything", lambda *_: None)),
            "goes_on": await goes_on(connection),
        }


@scenario
async def pool(at, _):
    """One connection, given back three times: each time asyncpg resets it, in one string of statements."""
    answers = []
    async with asyncpg.create_pool(at.dsn, min_size=1, max_size=1, server_settings=UTC) as connections:
        for number in range(3):
            async with connections.acquire() as connection:
                answers.append(await connection.fetchval("SELECT $1::int4 * 2", number))
                await connection.execute("SET TimeZone TO 'Asia/Tokyo'")
        async with connections.acquire() as connection:
            zone = await connection.fetchval("SHOW TimeZone")
    return {"answers": answers, "zone": zone}


async def main():
    place, wanted = asked()
    say({name: await function(place, argument) for name, function, argument in wanted})


if __name__ == "__main__":
    asyncio.run(main())
