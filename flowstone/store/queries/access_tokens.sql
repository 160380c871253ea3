-- Every token, the newest first.
select name, role, created_at, created_by, expires_at, used_at, revoked_at
from flowstone.access_tokens order by number desc
