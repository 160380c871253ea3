-- $1: the digest of a session.
delete from flowstone.sessions where digest = $1
