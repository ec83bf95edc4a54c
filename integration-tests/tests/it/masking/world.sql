-- What the tests of masking read, made by the owner of the database past the edge. No value that has to be masked looks
-- like anything that a detector finds: only tags can mask it. All of them have Quokka or 731 in them.
CREATE TABLE veil_teams (id integer PRIMARY KEY, name text);
INSERT INTO veil_teams VALUES (1, 'red'), (2, 'blue');

CREATE TABLE veil_people (
    id integer PRIMARY KEY,
    mail text UNIQUE,
    nick text,
    wage numeric CHECK (wage > 0),
    place text GENERATED ALWAYS AS (split_part(mail, '~', 2)) STORED,
    team integer NOT NULL REFERENCES veil_teams ON DELETE SET NULL
);
INSERT INTO veil_people (id, mail, nick, wage, team) VALUES
    (1, 'Quokkaada~Quokkanorth', 'ada', 7310.5, 1), (2, 'Quokkabob~Quokkasouth', 'bob', 7311.5, 1), (3, NULL, 'eve', NULL, 2);

-- Nothing of these is tagged. In the first agents may write.
CREATE TABLE veil_free (id integer PRIMARY KEY, note text);
INSERT INTO veil_free VALUES (1, 'there');
CREATE TABLE veil_guesses AS SELECT 'Quokkaada~Quokkanorth'::text AS mail, 1 AS guess;

-- A tag of the parent, and one of a partition alone.
CREATE TABLE veil_parted (id integer, region text, mail text) PARTITION BY LIST (region);
CREATE TABLE veil_parted_north PARTITION OF veil_parted FOR VALUES IN ('north');
CREATE TABLE veil_parted_south (mail text, id integer, region text);
ALTER TABLE veil_parted ATTACH PARTITION veil_parted_south FOR VALUES IN ('south');
INSERT INTO veil_parted VALUES (1, 'north', 'Quokkaparted'), (2, 'south', 'Quokkaparted');
CREATE TABLE veil_split (id integer, region text, mail text) PARTITION BY LIST (region);
CREATE TABLE veil_split_north PARTITION OF veil_split FOR VALUES IN ('north');
CREATE TABLE veil_split_south PARTITION OF veil_split FOR VALUES IN ('south');
INSERT INTO veil_split VALUES (1, 'north', 'Quokkasplit'), (2, 'south', 'Quokkasplit');
CREATE TABLE veil_base (id integer, mail text);
CREATE TABLE veil_heir (extra text) INHERITS (veil_base);
INSERT INTO veil_base VALUES (1, 'Quokkabase');
INSERT INTO veil_heir VALUES (2, 'Quokkaheir', 'extra');

-- A tag of what an heir alone has.
CREATE TABLE veil_trunk (id integer, name text);
CREATE TABLE veil_branch (code text) INHERITS (veil_trunk);
INSERT INTO veil_branch VALUES (1, 'oak', 'Quokkabranch');
-- Names that have to be quoted.
CREATE TABLE "veil Odd/""%'" (id integer, "E-Mail ü, ""%""" text);
INSERT INTO "veil Odd/""%'" VALUES (1, 'Quokkaodd');

-- Views upon views. The second has the names of its columns the other way round.
CREATE VIEW veil_view AS SELECT id, mail AS address, nick FROM veil_people;
CREATE VIEW veil_above (number, nick, address) AS SELECT id, address, nick FROM veil_view;
CREATE VIEW veil_union AS SELECT id, nick AS word FROM veil_people UNION ALL SELECT id, mail FROM veil_people;
CREATE VIEW veil_computed AS SELECT team, max(mail) AS last, count(*) AS people FROM veil_people GROUP BY team;
CREATE VIEW veil_joined AS
    SELECT p.id, t.name, s.mail FROM veil_people p JOIN veil_teams t ON t.id = p.team
    JOIN LATERAL (SELECT p.mail) s ON true;
CREATE VIEW veil_whole AS SELECT p.id, p AS person FROM veil_people p;
CREATE RECURSIVE VIEW veil_recursive (id, word) AS
    SELECT id, mail FROM veil_people WHERE id = 1
    UNION ALL SELECT p.id, p.mail FROM veil_people p JOIN veil_recursive r ON p.id = r.id + 1;
CREATE MATERIALIZED VIEW veil_stored AS SELECT id, mail AS address, nick, upper(mail) AS loud FROM veil_people;
CREATE VIEW veil_over_stored AS SELECT id, address, nick, loud FROM veil_stored;
-- A view that is tagged itself, of what is not.
CREATE VIEW veil_shown AS SELECT id, name FROM veil_teams;
CREATE VIEW veil_shown_again AS SELECT id, name AS word FROM veil_shown;
CREATE VIEW veil_deep_0 AS SELECT id, mail AS address, nick FROM veil_people;
DO $$ BEGIN FOR n IN 1..40 LOOP
    EXECUTE format('CREATE VIEW veil_deep_%s AS SELECT nick, address, id FROM veil_deep_%s', n, n - 1);
END LOOP; END $$;
CREATE VIEW veil_nicks AS SELECT id, nick FROM veil_people;

-- What reads it inside.
CREATE TYPE veil_pair AS (a text, b integer);
CREATE FUNCTION veil_peek(integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT mail FROM veil_people WHERE id = $1';
CREATE FUNCTION veil_wage(integer) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT wage FROM veil_people WHERE id = $1';
CREATE FUNCTION veil_all() RETURNS SETOF veil_people LANGUAGE sql STABLE AS 'SELECT * FROM veil_people';
CREATE FUNCTION veil_table() RETURNS TABLE (id integer, nick text) LANGUAGE sql STABLE AS
    'SELECT id, mail FROM veil_people';
CREATE FUNCTION veil_shout() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'it is %', veil_peek(1) USING DETAIL = veil_peek(1), HINT = veil_peek(1); END $$;
CREATE FUNCTION veil_fail() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'it is %', veil_peek(1) USING DETAIL = veil_peek(1), HINT = veil_peek(1),
       COLUMN = veil_peek(1), CONSTRAINT = veil_peek(1), TABLE = veil_peek(1); END $$;
CREATE PROCEDURE veil_tell(INOUT told text) LANGUAGE sql AS 'SELECT mail FROM veil_people WHERE id = 1';
CREATE FUNCTION veil_meets(integer, integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT veil_peek($1)';
CREATE OPERATOR <~~> (FUNCTION = veil_meets, LEFTARG = integer, RIGHTARG = integer);
CREATE FUNCTION veil_named(veil_people) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.mail';
CREATE FUNCTION veil_cast(veil_pair) RETURNS text LANGUAGE sql STABLE AS 'SELECT veil_peek($1.b)';
CREATE CAST (veil_pair AS text) WITH FUNCTION veil_cast(veil_pair);
CREATE VIEW veil_peeking AS SELECT id, veil_peek(id) AS word FROM veil_teams;

CREATE TABLE veil_deferred (id integer, mail text UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO veil_deferred VALUES (1, 'Quokkadeferred');

-- Values of every kind that there is a word or NULL for, tagged in the one table and not in the other.
CREATE TYPE veil_mood AS ENUM ('Quokkamood', 'calm');
CREATE DOMAIN veil_word AS text;
CREATE TABLE veil_kinds (
    id integer, a text, b varchar(9), c char(9), d name, e xml, f json, g jsonb, h veil_word,
    m smallint, n integer, o bigint, p numeric, q real, r double precision, s boolean, t date, u timestamptz, v interval,
    w uuid, x inet, y bytea, z text[], aa integer[], ab int4range, ac veil_mood, ad veil_pair, ae tsvector, af point, ag oid,
    ah bit(3), ai "char", aj money
);
INSERT INTO veil_kinds VALUES (
    1, 'Quokka', 'Quokka', 'Quokka', 'Quokka', '<Quokka/>', '{"Quokka": 731}', '{"Quokka": [731, null]}', 'Quokka',
    731, 731, 731, 731.5, 731.5, 731.25, true, '1731-07-31', '2731-07-31 07:31:00+00', '731 days',
    '73173173-1731-4731-8731-731731731731', '7.3.1.7', '\x51756f6b6b61', '{Quokka,NULL,"Z q7"}', '{731}', '[731,7310)', 'Quokkamood',
    '(Quokka,731)', 'Quokka:1', '(7.31,73.1)', 731, '101', 'Z', 731
);
CREATE TABLE veil_plain AS TABLE veil_kinds;

CREATE TABLE veil_renamed (id integer, mail text, nick text);
INSERT INTO veil_renamed VALUES (1, 'Quokkarenamed', 'ada');
CREATE VIEW veil_view_of_renamed AS SELECT id, mail AS address FROM veil_renamed;
CREATE TABLE veil_replaced (id integer, mail text, nick text);
INSERT INTO veil_replaced VALUES (1, 'Quokkareplaced', 'ada');
CREATE TABLE veil_late (id integer, mail text, nick text);
INSERT INTO veil_late SELECT id, 'Quokkalate' || id, 'late' || id FROM generate_series(1, 9) AS id;
CREATE TABLE veil_later AS TABLE veil_late;

-- What detectors find, in what is not tagged, and what they do not.
CREATE TABLE veil_found (id integer, words text, list text[], js json, jb jsonb, pair veil_pair, raw bytea);
INSERT INTO veil_found VALUES (
    1, 'write to ada@example.com or bob@example.org', '{ada@example.com,plain}',
    '{"to": "ada@example.com", "n": 1}', '{"to": ["ada@example.com"], "n": 1}', '(ada@example.com,1)', 'ada@example.com'
);

-- A large value beside what is masked and one that is, and many rows.
CREATE TABLE veil_large (id integer, body text, mail text, tail text);
INSERT INTO veil_large SELECT id, repeat(md5(id::text), 32768), repeat('Quokkalarge', 131072), 'tail' || id
    FROM generate_series(1, 3) AS id;
CREATE TABLE veil_many (id integer PRIMARY KEY, mail text, note text);
INSERT INTO veil_many SELECT id, 'Quokkamany' || id, 'note ' || id FROM generate_series(1, 10000) AS id;

GRANT SELECT, INSERT, UPDATE, DELETE ON veil_teams, veil_people, veil_free, veil_parted, veil_parted_north,
    veil_parted_south, veil_split, veil_split_north, veil_split_south, veil_base, veil_heir, veil_view, veil_deferred
    TO veil_standing;
GRANT SELECT ON veil_guesses, veil_above, veil_union, veil_computed, veil_joined, veil_whole, veil_recursive,
    veil_trunk, veil_branch, "veil Odd/""%'", veil_deep_20, veil_deep_40, veil_shown, veil_shown_again, veil_replaced, veil_stored, veil_over_stored, veil_nicks, veil_peeking, veil_kinds, veil_plain, veil_renamed, veil_view_of_renamed,
    veil_late, veil_later, veil_found, veil_large, veil_many TO veil_standing;
GRANT CREATE ON SCHEMA public TO veil_standing;
ANALYZE veil_people;
