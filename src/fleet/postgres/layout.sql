-- What a fleet of gateways keeps in PostgreSQL (13 or newer): layout 1. A gateway runs this by itself where it may; where
-- it may not, somebody who may runs it once, and then rights.sql. Running it again changes nothing.

DO $$ BEGIN
  IF to_regnamespace('"portcullis"') IS NULL THEN
    CREATE SCHEMA "portcullis";
  END IF;
END $$;

-- The log as a whole; one row. Who makes it anew gives it another epoch.
CREATE TABLE IF NOT EXISTS "portcullis".log (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  layout integer NOT NULL,
  epoch text NOT NULL,
  -- The newest letter that was dropped because of its age.
  forgotten bigint NOT NULL DEFAULT 0
);

-- Letters that somebody dropped as a whole do not come back: what is made instead is another log.
DO $$ BEGIN
  IF to_regclass('"portcullis".letters') IS NULL THEN
    DELETE FROM "portcullis".log;
  END IF;
END $$;

CREATE SEQUENCE IF NOT EXISTS "portcullis".positions AS bigint CACHE 1;

CREATE TABLE IF NOT EXISTS "portcullis".letters (
  position bigint PRIMARY KEY DEFAULT nextval('"portcullis".positions'),
  id text COLLATE "C" NOT NULL UNIQUE,
  -- The gateway that it is for; null is everyone.
  recipient bytea CHECK (octet_length(recipient) = 16),
  -- Sealed by the gateways' key ring; nobody can read it here.
  body bytea NOT NULL,
  appended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- What is sealed does not get smaller.
ALTER TABLE "portcullis".letters ALTER COLUMN body SET STORAGE EXTERNAL;
-- A gateway reads what is for everyone and what is for itself, and need not pass over the rest.
CREATE INDEX IF NOT EXISTS letters_for_everyone ON "portcullis".letters (position) WHERE recipient IS NULL;
CREATE INDEX IF NOT EXISTS letters_for_one ON "portcullis".letters (recipient, position) WHERE recipient IS NOT NULL;

CREATE TABLE IF NOT EXISTS "portcullis".leases (
  name text COLLATE "C" PRIMARY KEY,
  holder bytea NOT NULL,
  fence bigint NOT NULL,
  ends_at timestamptz NOT NULL
);

-- Appends letters: ids, recipients (in hexadecimal digits, or `-`) and bodies (as bytea reads them), each list with
-- spaces between; then the channels of those who wait for them.
CREATE OR REPLACE FUNCTION "portcullis".append(ids text, recipients text, bodies text, wakes text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  added bigint;
BEGIN
  -- One at a time until the commit, so that positions become visible in their order. A sequence alone does not do that:
  -- who draws 7 may commit before who drew 6, and a reader that has seen 7 never looks for 6 again.
  PERFORM pg_advisory_xact_lock(1886351988, '"portcullis".letters'::regclass::oid::integer);
  INSERT INTO "portcullis".letters (id, recipient, body)
    SELECT l.id, CASE WHEN l.recipient <> '-' THEN decode(l.recipient, 'hex') END, l.body::bytea
    FROM unnest(string_to_array(ids, ' '), string_to_array(recipients, ' '), string_to_array(bodies, ' '))
      WITH ORDINALITY AS l (id, recipient, body, n)
    ORDER BY l.n
    ON CONFLICT (id) DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  IF added > 0 THEN
    PERFORM pg_notify(channel, '') FROM unnest(string_to_array(wakes, ' ')) AS w (channel);
  END IF;
  RETURN added;
END $$;

INSERT INTO "portcullis".log (layout, epoch) VALUES (1, gen_random_uuid()::text) ON CONFLICT DO NOTHING;
