-- $1: the digest of a session.
with ended as (
    delete from flowstone.sessions where digest = $1 returning token
)
insert into flowstone.audit (action, by, name)
select 'session.ended', known.name, known.name from ended join flowstone.access_tokens as known on known.digest = ended.token
