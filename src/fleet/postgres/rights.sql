-- What a gateway may do, and nothing else: it cannot change a letter, empty a table, or change what was made. Run by who
-- ran layout.sql.

REVOKE ALL ON SCHEMA "portcullis" FROM PUBLIC;
REVOKE ALL ON FUNCTION "portcullis".append(text, text, text, text) FROM PUBLIC;
GRANT USAGE ON SCHEMA "portcullis" TO "portcullis_gateway";
GRANT SELECT, UPDATE (epoch, forgotten) ON "portcullis".log TO "portcullis_gateway";
GRANT SELECT, INSERT, DELETE ON "portcullis".letters TO "portcullis_gateway";
GRANT SELECT, INSERT, UPDATE ON "portcullis".leases TO "portcullis_gateway";
GRANT USAGE ON SEQUENCE "portcullis".positions TO "portcullis_gateway";
GRANT EXECUTE ON FUNCTION "portcullis".append(text, text, text, text) TO "portcullis_gateway";
