-- The one question that the edge asks a catalog: what the names of a statement mean to a role.
--
-- $1 the role; $2 its effective search path; then pairs of parallel lists (schema, name), the schema empty where the
-- statement gives none: $3 $4 relations, $5 whether all columns of the relation are wanted, $6 $7 functions,
-- $8 $9 operators, $10 $11 types; and $12 the names that are selected from rows. A schema of the path counts where
-- the role has USAGE on it, as in PostgreSQL.
WITH path AS (
    SELECT n.oid, p.place
    FROM unnest($2) WITH ORDINALITY AS p (name, place)
    JOIN pg_namespace n ON n.nspname = p.name
    WHERE has_schema_privilege($1, n.oid, 'USAGE')
),
relations AS (
    -- The first in the path, whatever its kind.
    SELECT r.place, r.whole, c.oid, c.nspname, c.relname, c.relkind
    FROM unnest($3, $4, $5) WITH ORDINALITY AS r (schema, name, whole, place)
    CROSS JOIN LATERAL (
        SELECT c.oid, n.nspname, c.relname, c.relkind
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN path ON path.oid = n.oid
        WHERE c.relname = r.name
          AND CASE WHEN r.schema = '' THEN path.place IS NOT NULL ELSE n.nspname = r.schema END
        ORDER BY path.place
        LIMIT 1
    ) AS c
)
SELECT 'relation', place, nspname, relname, relkind::text, ''
FROM relations
UNION ALL
SELECT 'column', r.place, r.nspname, r.relname, a.attname::text, ''
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.whole
UNION ALL
-- Every function of the name that the path reaches: which one is called depends on types.
SELECT DISTINCT 'function', f.place, n.nspname, p.proname, '', ''
FROM unnest($6, $7) WITH ORDINALITY AS f (schema, name, place)
JOIN pg_proc p ON p.proname = f.name
JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN path ON path.oid = n.oid
WHERE CASE WHEN f.schema = '' THEN path.place IS NOT NULL ELSE n.nspname = f.schema END
UNION ALL
-- What `value.name` calls where the value has no such column: any function that one argument is enough for. The value
-- need not be a row: `('…'::text).f` calls `f(text)`, and so does `alias.f` where the alias is of a scalar.
SELECT DISTINCT 'attribute', a.place, n.nspname, p.proname, '', ''
FROM unnest($12) WITH ORDINALITY AS a (name, place)
JOIN pg_proc p ON p.proname = a.name AND p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN path ON path.oid = n.oid
UNION ALL
-- The same notation casts where the name is that of a type: with the function that reads its values, for an array its
-- elements and for a domain what it rests on.
SELECT DISTINCT 'attribute', a.place, bn.nspname, b.typname, fn.nspname::text, p.proname::text
FROM unnest($12) WITH ORDINALITY AS a (name, place)
JOIN pg_type t ON t.typname = a.name
JOIN path ON path.oid = t.typnamespace
JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
JOIN pg_type b ON b.oid = CASE WHEN e.typtype = 'd' THEN e.typbasetype ELSE e.oid END
JOIN pg_namespace bn ON bn.oid = b.typnamespace
JOIN pg_proc p ON p.oid = b.typinput
JOIN pg_namespace fn ON fn.oid = p.pronamespace
WHERE b.typrelid = 0
UNION ALL
-- Every operator that the path reaches, with the function that it stands for; the built-in ones as one row.
SELECT DISTINCT 'operator', o.place, n.nspname, op.oprname,
    CASE WHEN n.nspname = 'pg_catalog' THEN '' ELSE fn.nspname::text END,
    CASE WHEN n.nspname = 'pg_catalog' THEN '' ELSE p.proname::text END
FROM unnest($8, $9) WITH ORDINALITY AS o (schema, name, place)
JOIN pg_operator op ON op.oprname = o.name
JOIN pg_namespace n ON n.oid = op.oprnamespace
JOIN pg_proc p ON p.oid = op.oprcode
JOIN pg_namespace fn ON fn.oid = p.pronamespace
LEFT JOIN path ON path.oid = n.oid
WHERE CASE WHEN o.schema = '' THEN path.place IS NOT NULL ELSE n.nspname = o.schema END
UNION ALL
-- The first type in the path (for an array: of its elements), with the function that reads its values; without one
-- where the type is the row of a relation.
SELECT 'type', y.place, bn.nspname, b.typname,
    CASE WHEN b.typrelid <> 0 THEN '' ELSE fn.nspname::text END,
    CASE WHEN b.typrelid <> 0 THEN '' ELSE p.proname::text END
FROM unnest($10, $11) WITH ORDINALITY AS y (schema, name, place)
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END AS base
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN path ON path.oid = n.oid
    WHERE t.typname = y.name
      AND CASE WHEN y.schema = '' THEN path.place IS NOT NULL ELSE n.nspname = y.schema END
    ORDER BY path.place
    LIMIT 1
) AS t
JOIN pg_type b ON b.oid = t.base
JOIN pg_namespace bn ON bn.oid = b.typnamespace
JOIN pg_proc p ON p.oid = b.typinput
JOIN pg_namespace fn ON fn.oid = p.pronamespace
