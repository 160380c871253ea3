-- $1: the digest of a session, $2: that of its token, $3: when it is over.
with begun as (
    insert into flowstone.sessions (digest, token, expires_at) values ($1, $2, $3) on conflict do nothing
    returning token
)
insert into flowstone.audit (action, by, name)
select 'session.begun', known.name, known.name from begun join flowstone.access_tokens as known on known.digest = begun.token
