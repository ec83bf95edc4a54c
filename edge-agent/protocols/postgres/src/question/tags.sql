UNION ALL
-- What of it is tagged, asked where the target has tagged columns: $13 $14 $15 schema, relation and column of each tag.
-- One row for each relation that the statement reaches, be it through views, one for each of their columns, and one for
-- each column that a tag is for. The tags of a table are those of all of its partitions and children, and of what it is
-- one of, by name; a column that is generated from a tagged one is tagged; and where a tag names a column that is not
-- there, all columns of the relation are (attribute 0).
SELECT * FROM (
    WITH RECURSIVE reached (oid) AS (
        SELECT oid FROM relations
        UNION
        SELECT next.refobjid
        FROM reached r
        CROSS JOIN LATERAL (SELECT w.oid FROM pg_rewrite w WHERE w.ev_class = r.oid OFFSET 0) AS w
        CROSS JOIN LATERAL (
            SELECT d.refobjid
            FROM pg_depend d
            WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
            OFFSET 0
        ) AS next
    ),
    tags (tag, oid, name, is_there) AS (
        SELECT t.place, c.oid, t.name, EXISTS (
            SELECT FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = t.name AND a.attnum > 0 AND NOT a.attisdropped)
        FROM unnest($13, $14, $15) WITH ORDINALITY AS t (schema, relation, name, place)
        LEFT JOIN LATERAL (
            SELECT c.oid
            FROM pg_class c
            WHERE c.relname = t.relation
              AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = t.schema)
            OFFSET 0
        ) AS c ON true
    ),
    -- From the tags, of which there are few, and not from what is reached, which may have thousands of partitions.
    tree (tag, oid, name, is_there) AS (
        SELECT tag, oid, name, is_there FROM tags WHERE oid IS NOT NULL
        UNION
        SELECT t.tag, next.oid, t.name, t.is_there
        FROM tree t
        CROSS JOIN LATERAL (
            SELECT i.inhparent AS oid FROM pg_inherits i WHERE i.inhrelid = t.oid
            UNION ALL
            SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.oid
            OFFSET 0
        ) AS next
    ),
    tagged (tag, member, attnum) AS (
        SELECT t.tag, r.oid, coalesce(a.attnum, 0::smallint)
        FROM reached r
        JOIN tree t ON t.oid = r.oid
        LEFT JOIN LATERAL (
            SELECT a.attnum
            FROM pg_attribute a
            WHERE a.attrelid = r.oid AND a.attname = t.name AND a.attnum > 0 AND NOT a.attisdropped
            OFFSET 0
        ) AS a ON true
        -- A column of a child need not be one of its parent.
        WHERE a.attnum IS NOT NULL OR NOT t.is_there
        UNION
        SELECT t.tag, t.member, g.attnum
        FROM tagged t
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN e.adrelid = t.member THEN e.adnum
                -- Before PostgreSQL 15 it is the column's own dependency.
                WHEN d.classid = 'pg_class'::regclass AND d.objid = t.member THEN d.objsubid::smallint
            END AS attnum
            FROM pg_depend d
            LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.member AND d.refobjsubid = t.attnum
            OFFSET 0
        ) AS next
        CROSS JOIN LATERAL (
            SELECT a.attnum
            FROM pg_attribute a
            WHERE a.attrelid = t.member AND a.attnum = next.attnum AND a.attgenerated <> ''
            OFFSET 0
        ) AS g
        WHERE t.attnum > 0
    ),
    -- Tables whose rows change with those of what is reached.
    referring (root, oid) AS (
        SELECT oid, oid FROM reached
        UNION
        SELECT f.root, g.tgrelid
        FROM referring f
        -- By the triggers that keep the constraint, which there is an index for.
        CROSS JOIN LATERAL (
            SELECT k.conrelid AS tgrelid
            FROM pg_trigger g
            JOIN pg_constraint k ON k.oid = g.tgconstraint AND k.contype = 'f' AND k.confrelid = f.oid
            WHERE g.tgrelid = f.oid AND g.tgisinternal
            OFFSET 0
        ) AS g
    ),
    -- The code that is attached to a relation, or that the rule of a view calls: whose it is.
    parts (relation, attached, class, oid) AS (
        SELECT r.oid, x.attached, x.class, x.oid
        FROM reached r
        CROSS JOIN LATERAL (
            SELECT false AS attached, 'pg_rewrite'::regclass::oid AS class, w.oid FROM pg_rewrite w WHERE w.ev_class = r.oid
            UNION ALL
            SELECT true, 'pg_attrdef'::regclass, e.oid FROM pg_attrdef e WHERE e.adrelid = r.oid
            UNION ALL
            SELECT true, 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = r.oid
            OFFSET 0
        ) AS x
    ),
    foreign_code (relation, attached) AS (
        SELECT p.relation, p.attached
        FROM parts p
        CROSS JOIN LATERAL (
            SELECT d.refclassid, d.refobjid
            FROM pg_depend d
            WHERE d.classid = p.class AND d.objid = p.oid
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
            OFFSET 0
        ) AS d
        CROSS JOIN LATERAL (
            SELECT f.pronamespace AS namespace FROM pg_proc f WHERE d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid
            UNION ALL
            SELECT f.pronamespace
            FROM pg_operator o JOIN pg_proc f ON f.oid = o.oprcode
            WHERE d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
            UNION ALL
            SELECT y.typnamespace
            FROM pg_type y
            WHERE d.refclassid = 'pg_type'::regclass AND y.oid = d.refobjid AND y.typtype IN ('b', 'd')
            OFFSET 0
        ) AS code
        WHERE code.namespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    )
    SELECT 'tagged' AS row, t.tag, t.member::text::name, coalesce(a.attname, ''), t.attnum::text, ''
    FROM tagged t
    LEFT JOIN LATERAL (
        SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.member AND a.attnum = t.attnum OFFSET 0
    ) AS a ON true
    UNION ALL
    SELECT 'missing', t.tag, '', '', '', ''
    FROM tags t
    WHERE t.oid IS NULL
    UNION ALL
    SELECT 'live', 1, a.attrelid::text::name, a.attname, a.attnum::text, ''
    FROM reached r
    CROSS JOIN LATERAL (
        SELECT a.attrelid, a.attname, a.attnum
        FROM pg_attribute a
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        OFFSET 0
    ) AS a
    UNION ALL
    -- What is selected from a row and is not a column of it is a function of the row: which of these names there are.
    SELECT 'of row', 1, '', a.name, '', ''
    FROM unnest($12) AS a (name)
    WHERE a.name NOT IN ('count', 'num_nonnulls', 'num_nulls', 'pg_typeof') AND EXISTS (
        SELECT
        FROM pg_proc p
        JOIN pg_type y ON y.oid = p.proargtypes[0]
        WHERE p.proname = a.name AND p.pronargs >= 1 AND (y.typtype = 'c' OR y.oid IN (
            '"any"'::regtype, 'record'::regtype, 'anyelement'::regtype, 'anynonarray'::regtype,
            'anycompatible'::regtype, 'anycompatiblenonarray'::regtype)))
    UNION ALL
    -- Of a view its rule, which says what its columns are made of. Opaque is what shows what other relations hold, or what
    -- others ask, or calls functions that may: those of somebody's, and the built-in ones that run a text or read files.
    -- Attached is what an error can come from that quotes other rows than the statement's own.
    SELECT 'reached', 1, c.oid::text::name, c.relkind::text::name,
        CASE
            WHEN length(w.rule) <= 262144
                AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR EXISTS (SELECT FROM tagged)) THEN w.rule
            ELSE ''
        END,
        concat_ws(' ',
            CASE
                WHEN n.nspname LIKE 'pg\_toast%' THEN 'opaque'
                WHEN n.nspname = 'pg_catalog' AND c.relname IN ('pg_cursors', 'pg_largeobject', 'pg_locks',
                    'pg_prepared_statements', 'pg_sequences', 'pg_settings', 'pg_stat_activity', 'pg_statistic',
                    'pg_statistic_ext_data', 'pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs') THEN 'opaque'
                WHEN n.nspname NOT IN ('pg_catalog', 'information_schema')
                    AND EXISTS (SELECT FROM foreign_code f WHERE f.relation = r.oid AND NOT f.attached) THEN 'opaque'
                WHEN n.nspname NOT IN ('pg_catalog', 'information_schema') AND w.rule IS NOT NULL AND EXISTS (
                    SELECT
                    FROM pg_proc p
                    WHERE p.pronamespace = 'pg_catalog'::regnamespace
                      AND p.proname IN ('cursor_to_xml', 'cursor_to_xmlschema', 'database_to_xml',
                          'database_to_xml_and_xmlschema', 'lo_get', 'loread', 'pg_get_object_address', 'pg_ls_dir',
                          'pg_read_binary_file', 'pg_read_file', 'pg_show_all_settings', 'pg_stat_file',
                          'pg_stat_get_activity', 'pg_stat_get_backend_activity', 'query_to_xml',
                          'query_to_xml_and_xmlschema', 'query_to_xmlschema', 'schema_to_xml',
                          'schema_to_xml_and_xmlschema', 'table_to_xml', 'table_to_xml_and_xmlschema', 'ts_rewrite',
                          'ts_stat')
                      AND position(':funcid ' || p.oid::text || ' ' IN w.rule) > 0
                ) THEN 'opaque'
            END,
            CASE WHEN EXISTS (SELECT FROM referring f JOIN tree t ON t.oid = f.oid WHERE f.root = r.oid)
                OR EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = r.oid)
                OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal)
                OR EXISTS (SELECT FROM foreign_code f WHERE f.relation = r.oid AND f.attached)
                THEN 'attached'
            END)
    FROM reached r
    JOIN pg_class c ON c.oid = r.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL (
        SELECT x.ev_action::text AS rule FROM pg_rewrite x WHERE x.ev_class = c.oid AND x.ev_type = '1' LIMIT 1
    ) AS w ON true
) AS tags
