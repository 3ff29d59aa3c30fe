"""What should be in the stream, said by PostgreSQL and not by us."""
