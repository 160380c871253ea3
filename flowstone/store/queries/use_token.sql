-- $1: a digest, $2: when its token was used, $3: the time before that within which a use needs no note.
update flowstone.access_tokens set used_at = $2
where digest = $1 and (used_at is null or used_at <= $2::timestamptz - $3::interval)
