-- $1: a digest. Its token.
select digest, name, role, created_at, created_by, expires_at, used_at, revoked_at
from flowstone.access_tokens where digest = $1
