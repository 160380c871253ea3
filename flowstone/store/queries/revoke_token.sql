-- $1: a name, $2: when its token is revoked, which may have been done by a call whose answer was lost; $3: by whom. The token.
with known as materialized (
    select digest, revoked_at is null as usable from flowstone.access_tokens
    where name = $1 and (revoked_at is null or revoked_at = $2)
    for update
), revoked as (
    update flowstone.access_tokens as tokens set revoked_at = $2 from known where tokens.digest = known.digest
    returning tokens.digest, tokens.name, tokens.role, tokens.created_at, tokens.created_by, tokens.expires_at,
        tokens.used_at, tokens.revoked_at, known.usable
), ended as (
    delete from flowstone.sessions using revoked where sessions.token = revoked.digest
), noted as (
    insert into flowstone.audit (action, by, name)
    select 'token.revoked', $3, revoked.name from revoked where revoked.usable
)
select name, role, created_at, created_by, expires_at, used_at, revoked_at from revoked
