-- The story's database. Run by its owner at every start: it makes what is not there and leaves the rest.
CREATE TABLE IF NOT EXISTS customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    card text NOT NULL,
    country text NOT NULL
);

CREATE TABLE IF NOT EXISTS orders (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    total numeric(10, 2) NOT NULL,
    status text NOT NULL DEFAULT 'new'
);

-- No policy permits anybody to read this one, and the role that sessions log in as could: what keeps it closed is
-- the gateway.
CREATE SCHEMA IF NOT EXISTS hr;
CREATE TABLE IF NOT EXISTS hr.payroll (
    employee text PRIMARY KEY,
    salary integer NOT NULL
);

INSERT INTO customers (name, email, card, country)
SELECT * FROM (VALUES
    ('Ada Example', 'ada@example.com', '4111 1111 1111 1111', 'GB'),
    ('Grace Example', 'grace@example.com', '5500 0000 0000 0004', 'US'),
    ('Alan Example', 'alan@example.com', '3400 0000 0000 009', 'GB')
) AS example WHERE NOT EXISTS (SELECT FROM customers);

INSERT INTO orders (customer_id, total, status)
SELECT * FROM (VALUES (1, 12.50, 'paid'), (2, 99.00, 'paid'), (2, 5.25, 'new'), (3, 42.00, 'shipped'))
    AS example WHERE NOT EXISTS (SELECT FROM orders);

INSERT INTO hr.payroll VALUES ('Example', 100000) ON CONFLICT DO NOTHING;

-- What policy allows alone only reads; what writes is logged in for each approved operation.
GRANT USAGE ON SCHEMA hr TO shop_standing;
GRANT SELECT ON hr.payroll TO shop_standing;
REVOKE ALL ON customers, orders FROM shop_standing;
GRANT SELECT ON customers, orders TO shop_standing;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO shop_approved;
-- The reader's own role, for targets that log each agent in as itself.
GRANT SELECT ON customers, orders TO shop_reader_own;
