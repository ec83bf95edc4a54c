-- What objects are defined as, so that a change between two moments shows.
--
-- $1 $2 schema and name of relations, $3 $4 of functions (all overloads). One row for each that exists: its class, its
-- oid, and a SHA-256 over everything that decides what using it does: columns with defaults, constraints, the domains of
-- columns, the text of rules and views, row policies, triggers, and the functions that all of these call; and the same of
-- every relation that a view is made of and every partition, however deep. What such a function calls in its turn is not
-- looked for: it is text that nobody but the server can read.
WITH RECURSIVE reached (root, oid) AS (
    SELECT c.oid, c.oid
    FROM unnest($1, $2) AS r (schema, name)
    JOIN pg_namespace n ON n.nspname = r.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.name
    UNION
    SELECT reached.root, next.oid
    FROM reached
    CROSS JOIN LATERAL (
        SELECT d.refobjid AS oid
        FROM pg_rewrite w
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
            AND d.refclassid = 'pg_class'::regclass
        WHERE w.ev_class = reached.oid
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = reached.oid
    ) AS next
),
domains (root, oid) AS (
    SELECT r.root, t.oid
    FROM reached r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
    UNION
    SELECT d.root, b.oid
    FROM domains d
    JOIN pg_type t ON t.oid = d.oid
    JOIN pg_type b ON b.oid = t.typbasetype AND b.typtype = 'd'
),
parts (root, class, oid) AS (
    SELECT r.root, 'pg_attrdef'::regclass, a.oid FROM reached r JOIN pg_attrdef a ON a.adrelid = r.oid
    UNION ALL
    SELECT r.root, 'pg_constraint'::regclass, k.oid FROM reached r JOIN pg_constraint k ON k.conrelid = r.oid
    UNION ALL
    SELECT d.root, 'pg_constraint'::regclass, k.oid FROM domains d JOIN pg_constraint k ON k.contypid = d.oid
    UNION ALL
    SELECT d.root, 'pg_type'::regclass, d.oid FROM domains d
    UNION ALL
    SELECT r.root, 'pg_policy'::regclass, y.oid FROM reached r JOIN pg_policy y ON y.polrelid = r.oid
    UNION ALL
    SELECT r.root, 'pg_trigger'::regclass, t.oid FROM reached r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
),
called (root, oid) AS (
    SELECT p.root, d.refobjid
    FROM parts p
    JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
    UNION
    SELECT r.root, t.tgfoid FROM reached r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION
    SELECT r.root, d.refobjid
    FROM reached r
    JOIN pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_proc'::regclass
),
functions (root, class, oid) AS (
    SELECT p.oid, 'function', p.oid
    FROM unnest($3, $4) AS f (schema, name)
    JOIN pg_namespace n ON n.nspname = f.schema
    JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = f.name
    UNION ALL
    SELECT root, 'relation', oid FROM called
),
pieces (class, root, piece) AS (
    SELECT 'relation', r.root, jsonb_build_array('relation', c.oid, c.relname, c.relnamespace::oid, c.relkind, c.relowner,
        c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text)::text
    FROM reached r JOIN pg_class c ON c.oid = r.oid
    UNION ALL
    SELECT 'relation', r.root, jsonb_build_array('column', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod,
        a.attnotnull, a.attisdropped, a.attgenerated, a.attidentity, d.adbin::text)::text
    FROM reached r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'relation', r.root, jsonb_build_array('constraint', k.oid, k.conname, k.contype, k.confrelid, k.confupdtype,
        k.confdeltype, k.conkey::text, k.confkey::text, k.conbin::text)::text
    FROM reached r JOIN pg_constraint k ON k.conrelid = r.oid OR k.confrelid = r.oid
    UNION ALL
    SELECT 'relation', d.root, jsonb_build_array('domain', t.oid, t.typname, t.typbasetype, t.typtypmod, t.typnotnull,
        t.typdefaultbin::text)::text
    FROM domains d JOIN pg_type t ON t.oid = d.oid
    UNION ALL
    SELECT 'relation', d.root, jsonb_build_array('domain constraint', k.oid, k.conname, k.contypid, k.conbin)::text
    FROM domains d JOIN pg_constraint k ON k.contypid = d.oid
    UNION ALL
    SELECT 'relation', r.root, jsonb_build_array('rule', w.ev_class, w.rulename, w.ev_type, w.ev_enabled, w.is_instead,
        w.ev_qual::text, w.ev_action::text)::text
    FROM reached r JOIN pg_rewrite w ON w.ev_class = r.oid
    UNION ALL
    SELECT 'relation', r.root, jsonb_build_array('policy', y.polrelid, y.polname, y.polcmd, y.polpermissive,
        y.polroles::text, y.polqual::text, y.polwithcheck::text)::text
    FROM reached r JOIN pg_policy y ON y.polrelid = r.oid
    UNION ALL
    SELECT 'relation', r.root, jsonb_build_array('trigger', t.tgrelid, t.tgname, t.tgfoid, t.tgtype, t.tgenabled,
        t.tgattr::text, encode(t.tgargs, 'hex'), t.tgqual::text)::text
    FROM reached r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    -- `prosqlbody` came with PostgreSQL 14; asked for by name, as JSON, it may be missing.
    SELECT f.class, f.root, jsonb_build_array('function', p.oid, p.proname, p.pronamespace::oid, p.proowner, p.prolang,
        p.prosecdef, p.proargtypes::text, p.prosrc, p.probin, p.proconfig::text, to_jsonb(p) ->> 'prosqlbody')::text
    FROM functions f JOIN pg_proc p ON p.oid = f.oid
)
SELECT class, root::text, encode(sha256(convert_to(string_agg(piece, E'\n' ORDER BY piece COLLATE "C"), 'UTF8')), 'hex')
FROM pieces
GROUP BY class, root
