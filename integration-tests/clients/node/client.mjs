// node-postgres as its users use it: one query after another, cursors, pools, and its pipeline mode.
//
//     client.mjs DSN SCENARIO[=ARGUMENT] ...        the password is in PGPASSWORD
//
// NODE_JUDGES is the folder whose node_modules has the packages. Each scenario has a connection of its own. The last line
// of standard output is one JSON object, scenario -> what it saw; before it, each NOTICE shows its DETAIL as it comes.
// The tables are those of ../scenarios.py.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages lie where integration-tests/run has installed them, not beside this file.
const require = createRequire(pathToFileURL(`${process.env.NODE_JUDGES ?? "."}/`));
const pg = require("pg");
const Cursor = require("pg-cursor");

const [dsn, ...wanted] = process.argv.slice(2);
const held = new URL(dsn).pathname.slice(1);
const free = `${held}_free`;
const insert = `INSERT INTO ${free} VALUES ($1, $2)`;
const say = (line) => console.log(JSON.stringify(line));

function json(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return text;
  }
}

/** An error: its SQLSTATE and, where DETAIL is ours, what it says. */
function seen(error) {
  const { decision, reason } = json(error.detail) ?? {};
  return { sqlstate: error.code, decision, reason };
}

async function connected(work, settings = {}) {
  const client = new pg.Client({ connectionString: dsn, options: "-c TimeZone=UTC", ...settings });
  client.on("notice", (said) => say({ notice: json(said.detail) }));
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Rows, the command's tag where there are none, or the error. */
const tried = (client, text, values, how = {}) =>
  client.query({ text, values, rowMode: "array", ...how }).then(
    (result) => (result.fields?.length ? result.rows : `${result.command} ${result.rowCount}`),
    seen,
  );
const value = async (client, text, ...values) =>
  (await client.query({ text, values, rowMode: "array" })).rows[0][0];
const goesOn = (client) => value(client, "SELECT 40 + $1::int4", 2);
const count = (client, note) => value(client, `SELECT count(*)::int4 FROM ${free} WHERE note = $1`, note);

// What is bound, and what a text result of it is read as: node-postgres leaves wide numbers and dates to their text.
const VALUES = {
  int2: [-(2 ** 15)],
  int4: [2 ** 31 - 1],
  int8: [-(2n ** 63n), "-9223372036854775808"],
  float8: [0.1],
  numeric: ["-12345678901234567890.01234567890"],
  text: ["it's „Größe“ \u202e数据 😀\n\\"],
  bytea: [Buffer.from([0, 1, 0x27, 0x5c, 0xff])],
  bool: [true],
  timestamptz: ["2024-02-29T12:34:56.789012Z", new Date("2024-02-29T12:34:56.789Z")],
  date: ["1999-12-31", new Date(1999, 11, 31)],
  uuid: ["6f9619ff-8b86-4011-b42d-00c04fc964ff"],
  jsonb: [{ a: [1, null, "ü"] }],
  "int4[]": [[1, null, -3]],
  "text[]": [["a,b", null, '"', ""]],
};
const FAILURES = {
  division: ["SELECT 1 / $1::int4", 0],
  syntax: ["SELEC $1", 0],
  unknown: ["SELECT * FROM no_such_table WHERE id = $1::int4", 0],
  unique: [`INSERT INTO ${free} VALUES ($1, 'twice')`, 1],
  refused: ["SELECT * FROM hr.payroll WHERE employee = $1::text", "x"],
};
const SLOW = "SELECT repeat('x', 9000) FROM generate_series(1, 3) UNION ALL SELECT pg_sleep(60)::text";
const UPDATE = `UPDATE ${held} SET status = $1, at = $2 WHERE id = $3 RETURNING status, at::text`;
const AT = "2024-02-29T12:34:56.789012Z";

const scenarios = {
  connects: () =>
    connected(async (client) => ({
      tls: client.connection.stream.encrypted === true,
      goes_on: await goesOn(client),
    })),

  /** Parameters in text but for bytes; results in text. */
  values: () =>
    connected(async (client) => {
      const written = {};
      for (const [kind, [sent, read = sent]] of Object.entries(VALUES)) {
        const text = `SELECT v, v::text FROM (SELECT $1::${kind} AS v) AS given`;
        const [back, asText] = (await tried(client, text, [sent]))[0];
        const same = JSON.stringify(back) === JSON.stringify(read);
        written[kind] = same ? asText : { "came back": back };
      }
      written.null = (await tried(client, "SELECT $1::int4, $2::text", [null, undefined]))[0];
      return written;
    }),

  /** node-postgres reads bytes as UTF-8 before it reads them as numbers, so these are small. */
  values_in_binary: () =>
    connected(async (client) => {
      const text = "SELECT $1::int4 AS a, $2::int8 AS b, $3::text AS c, $4::bool AS d";
      return (await client.query({ text, values: [7, 9, "ü", true], binary: true })).rows[0];
    }),

  prepared: () =>
    connected(async (client) => {
      const squares = [];
      for (let n = 0; n < 50; n++) {
        const text = "SELECT $1::int4 * $1";
        squares.push((await tried(client, text, [n], { name: "square" }))[0][0]);
      }
      const sums = await tried(client, "SELECT $1::int4 + 1", [1], { name: "sum" });
      return { squares: squares.reduce((a, b) => a + b), sums };
    }),

  unnamed: () =>
    connected(async (client) => ({
      parameters: await tried(client, "SELECT $1::text || $2", ["a", "b"]),
      none: await tried(client, "SELECT 1", undefined, { queryMode: "extended" }),
      simple: await tried(client, "SELECT 1"),
      several_extended: await tried(client, "SELECT 1; SELECT 2", undefined, { queryMode: "extended" }),
      empty: await tried(client, ""),
      empty_extended: await tried(client, "", undefined, { queryMode: "extended" }),
      no_rows: await tried(client, `SELECT * FROM ${free} WHERE id = $1`, [-1]),
      goes_on: await goesOn(client),
    })),

  returning: () =>
    connected(async (client) => ({
      insert: await tried(client, `${insert} RETURNING id, note`, [10, "ü"]),
      update: await tried(client, `UPDATE ${free} SET note = $1 WHERE id = $2 RETURNING note`, ["u", 10]),
      no_rows: await tried(client, `UPDATE ${free} SET note = $1 WHERE id = $2`, ["u", -1]),
      delete: await tried(client, `DELETE FROM ${free} WHERE id = $1 RETURNING id`, [10]),
    })),

  /** By pg-cursor, to its end and left before it; and by the client's own row limit. */
  portions: () =>
    connected(async (client) => {
      const series = "SELECT n, repeat('x', 1000) FROM generate_series(1, $1::int4) AS n";
      const sizes = [];
      const whole = client.query(new Cursor(series, [1000], { rowMode: "array" }));
      for (let rows = await whole.read(300); rows.length; rows = await whole.read(300)) sizes.push(rows.length);
      const left = client.query(new Cursor(series, [100000], { rowMode: "array" }));
      const first = (await left.read(2)).map((row) => row[0]);
      await left.close();
      const limited = await tried(client, series, [1000], { rows: 300 });
      const failing = client.query(new Cursor("SELECT 1 / (3 - n) FROM generate_series(1, $1::int4) AS n", [9]));
      const failed = [(await failing.read(1)).length, await failing.read(5).catch(seen)];
      await failing.close();
      return { sizes, first, limited: limited.length, failed, goes_on: await goesOn(client) };
    }),

  /** Queries are sent without waiting for the answers before them; each has a Sync of its own. */
  pipelines: () =>
    connected(
      async (client) => {
        const queries = Array.from({ length: 50 }, (_, n) => tried(client, "SELECT $1::int4 * 2", [n]));
        const failed = tried(client, ...FAILURES.division.map((part, at) => (at ? [part] : part)));
        const refused = tried(client, ...FAILURES.refused.map((part, at) => (at ? [part] : part)));
        const named = Array.from({ length: 5 }, (_, n) => tried(client, "SELECT $1::int4", [n], { name: "same" }));
        const doubled = (await Promise.all(queries)).map((rows) => rows[0][0]);
        return {
          doubled: doubled.reduce((a, b) => a + b),
          failed: await failed,
          refused: await refused,
          named: (await Promise.all(named)).map((rows) => rows[0][0]),
          goes_on: await goesOn(client),
        };
      },
      { pipeline: true },
    ),

  fails_in_a_transaction: (kind) =>
    connected(async (client) => {
      const [text, wrong] = FAILURES[kind];
      await client.query("BEGIN");
      await client.query(insert, [31, "failed"]);
      return {
        error: await tried(client, text, [wrong]),
        after: await tried(client, "SELECT $1::int4", [1]),
        commit: (await client.query("COMMIT")).command,
        kept: await count(client, "failed"),
        goes_on: await goesOn(client),
      };
    }),

  hold: (row) =>
    connected(async (client) => ({
      result: await tried(client, UPDATE, ["it's ü", AT, Number(row)], { name: "held" }),
      goes_on: await goesOn(client),
    })),

  hold_in_a_transaction: (row) =>
    connected(async (client) => {
      await client.query("BEGIN");
      const read = await tried(client, `SELECT status FROM ${held} WHERE id = $1`, [Number(row)]);
      const result = await tried(client, UPDATE, ["within", null, Number(row)]);
      return { read, result, ended: (await client.query("COMMIT")).command, goes_on: await goesOn(client) };
    }),

  cancel: () =>
    connected(async (client) => {
      const query = new pg.Query({ text: SLOW, queryMode: "extended" });
      query.once("row", () => cancelled(client, query));
      return { result: await ended(client, query), goes_on: await goesOn(client) };
    }),

  cancel_hold: (row) =>
    connected(async (client) => {
      const query = new pg.Query({ text: UPDATE, values: ["cancelled", null, Number(row)] });
      client.once("notice", () => cancelled(client, query));
      return { result: await ended(client, query), goes_on: await goesOn(client) };
    }),

  refused_features: () =>
    connected(async (client) => ({
      copy_in: await tried(client, `COPY ${free} FROM STDIN`),
      listen: await tried(client, "LISTEN anything"),
      goes_on: await goesOn(client),
    })),

  pool: async () => {
    const pool = new pg.Pool({ connectionString: dsn, max: 2 });
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => pool.query("SELECT $1::int4 * 2 AS answer", [n])),
    );
    await pool.end();
    return answers.map((answer) => answer.rows[0].answer);
  },
};

/** How many rows a query has, or its error. */
function ended(client, query) {
  client.query(query);
  return new Promise((resolve) =>
    query.on("error", (error) => resolve(seen(error))).on("end", (result) => resolve(result.rowCount)),
  );
}

/** node-postgres asks for a cancel on a connection of its own, without TLS. */
function cancelled(client, query) {
  const other = new pg.Client({ connectionString: dsn });
  other.connection.on("error", () => {});
  other.cancel(client, query);
}

const saw = {};
for (const name of wanted) {
  const [scenario, argument] = name.split("=");
  saw[name] = await scenarios[scenario](argument);
}
say(saw);
