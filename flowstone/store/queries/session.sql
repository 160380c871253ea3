-- $1: the digest of a session, $2: this instant. The token by which it was begun, while it lasts.
select known.digest, known.name, known.role, known.created_at, known.created_by, known.expires_at, known.used_at,
    known.revoked_at
from flowstone.sessions join flowstone.access_tokens as known on known.digest = sessions.token
where sessions.digest = $1 and sessions.expires_at > $2 and known.revoked_at is null
