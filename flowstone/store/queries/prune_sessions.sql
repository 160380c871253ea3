-- $1: a token's digest, $2: this instant, $3: how many of its sessions stay; and those of all tokens that are not over.
with gone as materialized (
    select digest from flowstone.sessions where expires_at <= $2
    union
    (select digest from flowstone.sessions where token = $1 order by number desc offset $3)
), locked as (
    select sessions.digest from flowstone.sessions where digest in (select gone.digest from gone)
    order by digest for update skip locked
)
delete from flowstone.sessions where digest in (select locked.digest from locked)
