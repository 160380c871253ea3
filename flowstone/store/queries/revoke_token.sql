-- $1: a name, $2: when its token is revoked, which may have been done by a call whose answer was lost. The token.
with revoked as (
    update flowstone.access_tokens set revoked_at = $2
    where name = $1 and (revoked_at is null or revoked_at = $2)
    returning digest, name, role, created_at, created_by, expires_at, used_at, revoked_at
), ended as (
    delete from flowstone.sessions using revoked where sessions.token = revoked.digest
)
select name, role, created_at, created_by, expires_at, used_at, revoked_at from revoked
