-- $1: the digest, $2: name, $3: role, $4: when, $5: by whom, $6: until when. Whether the token is there now.
with added as (
    insert into flowstone.access_tokens (digest, name, role, created_at, created_by, expires_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict do nothing
    returning digest, name, role, created_by
), noted as (
    insert into flowstone.audit (action, by, name, details)
    select 'token.created', added.created_by, added.name, json_build_object('role', added.role) from added
)
select exists (select from added) or exists (select from flowstone.access_tokens where digest = $1) as added
