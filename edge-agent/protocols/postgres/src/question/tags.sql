UNION ALL
-- What of it is tagged, asked where the target has tagged columns: $13 $14 $15 schema, relation and column of each tag.
-- One row for each relation that the statement reaches, be it through views or partitions, and one for each of their
-- columns that a tag is for. The tags of a table are those of all of its partitions and children, and of what it is one
-- of, by name; a column that is generated from a tagged one is tagged; and where a tag names a column that is not
-- there, all columns of the relation are (attribute 0).
SELECT * FROM (
    WITH RECURSIVE reached (oid) AS (
        SELECT oid FROM relations
        UNION
        SELECT next.oid
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
    family (member, relative) AS (
        SELECT oid, oid FROM reached
        UNION
        SELECT f.member, next.oid
        FROM family f
        CROSS JOIN LATERAL (
            SELECT i.inhparent AS oid FROM pg_inherits i WHERE i.inhrelid = f.relative
            UNION ALL
            SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = f.relative
        ) AS next
    ),
    tagged (tag, member, attnum) AS (
        SELECT t.place, f.member, coalesce(a.attnum, 0::smallint)
        FROM unnest($13, $14, $15) WITH ORDINALITY AS t (schema, relation, name, place)
        JOIN pg_class c ON c.relname = t.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.schema
        JOIN family f ON f.relative = c.oid
        LEFT JOIN pg_attribute a ON a.attrelid = f.member AND a.attname = t.name AND a.attnum > 0 AND NOT a.attisdropped
        UNION
        SELECT t.tag, t.member, g.attnum
        FROM tagged t
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.member AND d.refobjsubid = t.attnum
        LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
        -- The expression's dependency; before PostgreSQL 15 the column's own.
        JOIN pg_attribute g ON g.attrelid = t.member AND g.attgenerated <> '' AND g.attnum = CASE
            WHEN e.adrelid = t.member THEN e.adnum
            WHEN d.classid = 'pg_class'::regclass AND d.objid = t.member THEN d.objsubid
        END
        WHERE t.attnum > 0
    )
    SELECT 'tagged' AS row, t.tag, t.member::text::name, coalesce(a.attname, ''), t.attnum::text, ''
    FROM tagged t
    LEFT JOIN pg_attribute a ON a.attrelid = t.member AND a.attnum = t.attnum
    UNION ALL
    -- Of a view its rule, which says what its columns are made of. Whether a view calls functions of somebody's, which
    -- may read anything; and what shows what other relations hold, or what others ask.
    SELECT 'reached', 1, c.oid::text::name, c.relkind::text::name,
        CASE
            WHEN NOT EXISTS (SELECT FROM tagged) THEN ''
            ELSE coalesce((
                SELECT w.ev_action::text
                FROM pg_rewrite w
                WHERE w.ev_class = c.oid AND w.ev_type = '1' AND length(w.ev_action::text) <= 262144
                LIMIT 1
            ), '')
        END,
        CASE
            WHEN n.nspname = 'pg_catalog' AND c.relname IN ('pg_cursors', 'pg_largeobject', 'pg_prepared_statements',
                'pg_stat_activity', 'pg_statistic', 'pg_statistic_ext_data', 'pg_stats', 'pg_stats_ext',
                'pg_stats_ext_exprs') THEN 'opaque'
            WHEN n.nspname NOT IN ('pg_catalog', 'information_schema') AND EXISTS (
                SELECT
                FROM pg_rewrite w
                JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                    AND d.refclassid = 'pg_proc'::regclass
                JOIN pg_proc p ON p.oid = d.refobjid
                JOIN pg_namespace pn ON pn.oid = p.pronamespace
                WHERE w.ev_class = c.oid AND pn.nspname NOT IN ('pg_catalog', 'information_schema')
            ) THEN 'opaque'
            ELSE ''
        END
    FROM reached r
    JOIN pg_class c ON c.oid = r.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
) AS tags
