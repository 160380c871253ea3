-- $1: the digest of a session, $2: that of its token, $3: when it is over.
insert into flowstone.sessions (digest, token, expires_at) values ($1, $2, $3) on conflict do nothing
